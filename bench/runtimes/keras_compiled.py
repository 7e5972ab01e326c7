"""The reference runtime: the Keras model as the backend compiles it, without XLA on TensorFlow."""

from __future__ import annotations

from typing import Any

from bench.backends.base import Array, current
from bench.runtimes.base import RUNTIMES, Call


class _KerasCompiled:
    name = "keras"

    def prepare(self, model: Any, batch: int) -> Call:
        forward = current().forward(model)

        def call(images: Array) -> Array:
            return forward(images)[0]

        return call


RUNTIMES.add(_KerasCompiled())
