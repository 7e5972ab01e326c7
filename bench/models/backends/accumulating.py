"""A backend that computes every batch in parts, for batches that do not fit into memory.

Inference runs one part after another; a training step accumulates the gradients of its parts before
it updates the weights. The weighted mean loss of a batch is the sum of its parts' mean losses, each
times the part's share of the weight, so the gradient is that of the whole batch.
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


def accumulate_gradients(backend: Backend, parts: int, images: int) -> Backend:
    """Wrap a backend: inference divides batches into `parts`, training into `images` at a time."""

    def forward(model: Any) -> Forward:
        return _Forward(backend.forward(model), parts)

    def train_step(model: Any, optimizer: Any, loss: LossFunction) -> TrainStep:
        return _Step(backend.gradient_step(model, optimizer, loss), images)

    return replace(backend, forward=forward, train_step=train_step)


class _Forward:
    def __init__(self, forward: Forward, parts: int) -> None:
        self._forward, self._parts = forward, parts
        self._lock = Lock()  # callers run batches concurrently, but memory suffices for one part
        self.any_size = forward.any_size

    def compile(self, batch: Array) -> None:
        self._forward.compile(batch[: self._part_size(len(batch))])

    def __call__(self, batch: Array) -> list[Array]:
        size = self._part_size(len(batch))
        with self._lock:
            parts = [self._forward(batch[i : i + size]) for i in range(0, len(batch), size)]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _part_size(self, count: int) -> int:
        """Return the size of a part; it divides `count` if each size needs a compilation."""
        if self.any_size:
            return -(-count // self._parts)
        largest = max(1, count // self._parts)
        return next(n for n in range(largest, 0, -1) if count % n == 0)


class _Step:
    def __init__(self, step: GradientStep, images: int) -> None:
        self._step, self._images = step, images
        self.any_size = step.any_size

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        part = slice(self._images)
        self._step.compile(x[part], y[part], weight[part])

    def put(self, x: Array, y: Array, weight: Array) -> Any:
        total, parts = weight.sum(), []
        for first in range(0, len(x), self._images):
            part = slice(first, first + self._images)
            share = weight[part].sum() / total
            if share:  # the mean loss of padding alone is undefined
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
