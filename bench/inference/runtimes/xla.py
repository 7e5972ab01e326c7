"""XLA: the Keras model compiled as a whole, as the reference runtime is on JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.inference.runtimes import RUNTIMES, Call, ModelSource, Runtime

if TYPE_CHECKING:
    from bench.models.backends.base import Array


class _XLA(Runtime):
    name = "xla"
    help = "the Keras model compiled as a whole by XLA"
    modules = ("tensorflow",)
    install = "tensorflow"

    def load(self, source: ModelSource) -> Call:
        import numpy as np
        import tensorflow as tf

        @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
        def compiled(images: object) -> object:
            return source.model(images, training=False)

        def call(images: Array) -> Array:
            return np.asarray(compiled(tf.convert_to_tensor(images)))

        return call


RUNTIMES.add(_XLA())
