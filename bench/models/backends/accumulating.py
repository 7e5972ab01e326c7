"""A backend that computes every batch in parts, where a whole one does not fit into memory.

Inference runs piece by piece, one at a time; a training step adds up the gradients of its parts
before it changes the weights. The weighted mean loss of a batch is the sum of its parts' means,
each times its share of the weight, so the gradient is that of the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np

from bench.models.backends.base import (
    Array,
    Backend,
    Forward,
    GradientStep,
    LossFunction,
    TrainStep,
)


def accumulating(backend: Backend, parts: int, images: int) -> Backend:
    """Return the backend with its batches divided into `parts`, of `images` each when it trains."""

    def forward(model: Any) -> Forward:
        return _Forward(backend.forward(model), parts)

    def train_step(model: Any, optimizer: Any, loss: LossFunction) -> TrainStep:
        return _Step(backend.gradient_step(model, optimizer, loss), images)

    return replace(backend, forward=forward, train_step=train_step)


class _Forward:
    def __init__(self, forward: Forward, parts: int) -> None:
        self._forward, self._parts = forward, parts
        self._lock = Lock()  # callers run batches concurrently; memory suffices for one piece
        self.any_size = forward.any_size

    def compile(self, batch: Array) -> None:
        self._forward.compile(batch[: self._piece(len(batch))])

    def __call__(self, batch: Array) -> list[Array]:
        piece = self._piece(len(batch))
        with self._lock:
            pieces = [self._forward(batch[i : i + piece]) for i in range(0, len(batch), piece)]
        return [np.concatenate(outputs) for outputs in zip(*pieces, strict=True)]

    def _piece(self, count: int) -> int:
        """Return the size of a piece; it divides `count` where each size needs a compilation."""
        if self.any_size:
            return -(-count // self._parts)
        most = max(1, count // self._parts)
        return next(n for n in range(most, 0, -1) if count % n == 0)


class _Step:
    def __init__(self, step: GradientStep, images: int) -> None:
        self._step, self._images = step, images
        self.any_size = step.any_size

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        part = slice(self._images)
        self._step.compile(x[part], y[part], weight[part])

    def put(self, x: Array, y: Array, weight: Array) -> Any:
        whole, parts = weight.sum(), []
        for first in range(0, len(x), self._images):
            part = slice(first, first + self._images)
            share = weight[part].sum() / whole
            if share:  # a part of padding alone has no mean loss
                parts.append(self._step.put(x[part], y[part], weight[part], share))
        return parts

    def __call__(self, batch: Any) -> Any:
        results = [self._step.add(part) for part in batch]
        self._step.apply()
        return results

    def fetch(self, results: Sequence[Any]) -> Array:
        rows = self._step.fetch([row for parts in results for row in parts])
        first = np.cumsum([0, *(len(parts) for parts in results[:-1])])
        return np.asarray(np.add.reduceat(rows, first, axis=0))

    def sync(self) -> None:
        self._step.sync()
