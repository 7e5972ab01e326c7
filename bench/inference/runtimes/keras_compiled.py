"""The reference runtime: the Keras model as the backend compiles it, without XLA on TensorFlow."""

from __future__ import annotations

from bench.inference.runtimes.base import REFERENCE, RUNTIMES, Call, Source
from bench.models.backends.base import Array, current


class _KerasCompiled:
    name = REFERENCE
    artefact = ""
    modules: tuple[str, ...] = ()
    extra = ""

    def convert(self, source: Source) -> None:
        """It runs the model as it is."""

    def load(self, source: Source) -> Call:
        forward = current().forward(source.model)

        def call(images: Array) -> Array:
            return forward(images)[0]

        return call


RUNTIMES.add(_KerasCompiled())
