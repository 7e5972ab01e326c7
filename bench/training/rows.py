"""Rows of activations or pixels, one per image, and compiled forward passes over them."""

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

RELEASE_AFTER_BYTES = 64 * 2**20
CONCURRENT_BATCHES = 2  # each needs memory for its activations


class Rows(Protocol):
    """Rows of activations or pixels, one per image; `take` returns them by index."""

    def __len__(self) -> int: ...

    def take(self, indices: Array) -> Array: ...


class StoredRows:
    """Rows in a memory-mapped file. Its pages are released regularly, so that memory does not grow
    with the number of images."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self._read = 0

    def __len__(self) -> int:
        return len(self.array)

    def take(self, indices: Array) -> Array:
        rows: Array = self.array[indices]
        self._read += rows.nbytes
        if self._read > RELEASE_AFTER_BYTES:
            release_pages(self.array)
            self._read = 0
        return rows


@dataclass(frozen=True)
class RowSubset:
    """The rows of some images, `chosen`, out of the rows of all."""

    rows: Rows
    chosen: Array

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, indices: Array) -> Array:
        return self.rows.take(self.chosen[indices])


@dataclass(frozen=True)
class StreamedRows:
    """Rows computed each time they are taken: the frozen part runs again."""

    images: Rows
    view: View
    forward: Forward | None  # None: the cut is at the pixels

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: Array) -> Array:
        pixels = self.view.apply(self.images.take(indices), indices)
        return pixels if self.forward is None else _run_in_batches(self.forward, pixels)


def stratified_sample(labels: Array, fraction: float, seed: int) -> Array:
    """Return the sorted indices of a random sample with this fraction of each class, rounded, and
    at least one image of it.

    `seed` is the training seed, so that the spread over seeds includes the sampling. With one seed
    a smaller sample is a subset of every larger one.
    """
    samples = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = np.random.default_rng([seed, 2, int(label)]).permutation(members)
        samples.append(order[: max(1, int(fraction * len(members) + 0.5))])
    return np.sort(np.concatenate(samples))


def predict(forward: Forward, rows: Rows) -> Array:
    """Return the forward pass's first output for all rows."""
    return np.concatenate([outputs[0] for outputs in iterate_outputs(forward, rows)])


def iterate_outputs(forward: Forward, rows: Rows) -> Iterator[list[Array]]:
    """Yield the forward pass's outputs batch by batch.

    Two batches run concurrently: while one waits for its rows, or for the last thread of an
    operation, the other continues. Without this a whole run takes 1.21 to 1.40 times as long with
    MobileNetV2 at 160 px, 1.09 with EfficientNet-Lite0 on the demo (`benchmarks/ablation.py`).
    """

    def outputs(first: int) -> list[Array]:
        batch = rows.take(np.arange(first, min(first + FORWARD_BATCH, len(rows))))
        return [_float32(output) for output in _run_padded(forward, batch)]

    at_once = CONCURRENT_BATCHES if is_enabled("concurrent_forward") else 1
    with ThreadPoolExecutor(at_once, "forward") as pool:
        yield from prefetch_map(pool, outputs, range(0, len(rows), FORWARD_BATCH), at_once)


def _run_in_batches(forward: Forward, images: Array) -> Array:
    """Return the first output for all images, computed `FORWARD_BATCH` images at a time."""
    starts = range(0, len(images), FORWARD_BATCH)
    batches = (images[i : i + FORWARD_BATCH] for i in starts)
    return np.concatenate([_float32(_run_padded(forward, batch)[0]) for batch in batches])


def _run_padded(forward: Forward, batch: Array) -> list[Array]:
    """Return the outputs of a batch; pad the batch if another size would need a compilation."""
    if forward.any_size:
        return forward(batch)
    return [output[: len(batch)] for output in forward(pad_batch(batch))]


def _float32(output: Array) -> Array:
    """Convert rows for storage: NumPy has no bfloat16, and float32 represents it exactly."""
    return output.astype("float32", copy=False)


def pad_batch(batch: Array) -> Array:
    """Pad a batch to `FORWARD_BATCH` rows with copies of its first row."""
    short = FORWARD_BATCH - len(batch)
    if short <= 0:
        return batch
    return np.concatenate([batch, np.repeat(batch[:1], short, axis=0)])
