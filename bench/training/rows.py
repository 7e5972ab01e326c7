"""Rows of activations or pixels, by image number, and a compiled pass over them batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bench.models.backends.base import Array, Forward
from bench.system.ablation import is_enabled
from bench.system.memory import release_pages
from bench.system.parallel import prefetch_map
from bench.training.augment import View
from bench.training.prepared import FORWARD_BATCH

PAGES_KEPT_BYTES = 64 * 2**20
AT_ONCE = 2  # batches; each needs the memory of its activations


class Rows(Protocol):
    """Rows of activations (or pixels) of one split, by image number."""

    def __len__(self) -> int: ...

    def take(self, indices: Array) -> Array: ...


class Stored:
    """Rows on disk. Pages that were read are released now and then, so that memory does not grow
    with the number of images."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self._read = 0

    def __len__(self) -> int:
        return len(self.array)

    def take(self, indices: Array) -> Array:
        rows: Array = self.array[indices]
        self._read += rows.nbytes
        if self._read > PAGES_KEPT_BYTES:
            release_pages(self.array)
            self._read = 0
        return rows


@dataclass(frozen=True)
class Subset:
    """The rows of some of the images, taken from those computed for all of them."""

    rows: Rows
    chosen: Array

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, indices: Array) -> Array:
        return self.rows.take(self.chosen[indices])


@dataclass(frozen=True)
class Streamed:
    """Rows computed each time they are taken: the frozen part runs again."""

    images: Rows
    view: View
    forward: Forward | None  # None: the cut is at the pixels

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: Array) -> Array:
        pixels = self.view.apply(self.images.take(indices), indices)
        return pixels if self.forward is None else _piecewise(self.forward, pixels)


def stratified(labels: Array, fraction: float, seed: int) -> Array:
    """Return the sorted numbers of the images in a share: that share of each class, rounded, and at
    least one image of it.

    The training seed chooses, so that the spread over seeds includes the choice; with one seed a
    smaller share is part of every larger one.
    """
    kept = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = np.random.default_rng([seed, 2, int(label)]).permutation(members)
        kept.append(order[: max(1, int(fraction * len(members) + 0.5))])
    return np.sort(np.concatenate(kept))


def predict(forward: Forward, rows: Rows) -> Array:
    """Return the first output for all rows."""
    return np.concatenate([outputs[0] for outputs in outputs_of(forward, rows)])


def outputs_of(forward: Forward, rows: Rows) -> Iterator[list[Array]]:
    """Yield the outputs batch by batch.

    Two batches run at once: while one waits, for its rows or for the last thread of an operation,
    the other continues. A whole run with one at a time takes 1.21 to 1.40 times as long with
    MobileNetV2 at 160 px, 1.09 with EfficientNet-Lite0 on the demo (`benchmarks/ablation.py`).
    """

    def outputs(first: int) -> list[Array]:
        batch = rows.take(np.arange(first, min(first + FORWARD_BATCH, len(rows))))
        return [_float32(output) for output in _run(forward, batch)]

    at_once = AT_ONCE if is_enabled("concurrent_forward") else 1
    with ThreadPoolExecutor(at_once, "forward") as pool:
        yield from prefetch_map(pool, outputs, range(0, len(rows), FORWARD_BATCH), at_once)


def _piecewise(forward: Forward, batch: Array) -> Array:
    starts = range(0, len(batch), FORWARD_BATCH)
    pieces = (batch[i : i + FORWARD_BATCH] for i in starts)
    return np.concatenate([_float32(_run(forward, piece)[0]) for piece in pieces])


def _run(forward: Forward, batch: Array) -> list[Array]:
    """Return the outputs of a batch, padded where another size would need a compilation."""
    if forward.any_size:
        return forward(batch)
    return [output[: len(batch)] for output in forward(full_batch(batch))]


def _float32(output: Array) -> Array:
    """Return rows as they are stored: NumPy files have no bfloat16; float32 holds it exactly."""
    return output.astype("float32", copy=False)


def full_batch(batch: Array) -> Array:
    """Return a batch padded with copies of its first row, so that every call has one shape."""
    short = FORWARD_BATCH - len(batch)
    if short <= 0:
        return batch
    return np.concatenate([batch, np.repeat(batch[:1], short, axis=0)])
