"""The reference runtime: the Keras model as the backend compiles it, without XLA on TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.inference.runtimes import REFERENCE, RUNTIMES, Call, ModelSource, Runtime

if TYPE_CHECKING:
    from bench.models.backends.base import Array


class _KerasCompiled(Runtime):
    name = REFERENCE
    help = "the Keras model as its backend compiles it; always timed"

    def load(self, source: ModelSource) -> Call:
        from bench.models.backends.base import current

        forward = current().forward(source.model)

        def call(images: Array) -> Array:
            return forward(images)[0]

        return call


RUNTIMES.add(_KerasCompiled())
