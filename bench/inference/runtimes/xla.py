"""XLA: the Keras model compiled as a whole. On JAX that is what the reference does already."""

from __future__ import annotations

import numpy as np

from bench.inference.runtimes.base import RUNTIMES, Call, Source, needs_backend
from bench.models.backends.base import Array


class _XLA:
    name = "xla"
    artefact = ""
    modules = ("tensorflow",)
    extra = "tensorflow"

    def convert(self, source: Source) -> None:
        """It runs the model as it is."""

    def load(self, source: Source) -> Call:
        needs_backend(self.name, "tensorflow")
        import tensorflow as tf

        @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
        def compiled(images: object) -> object:
            return source.model(images, training=False)

        def call(images: Array) -> Array:
            return np.asarray(compiled(tf.convert_to_tensor(images)))

        return call


RUNTIMES.add(_XLA())
