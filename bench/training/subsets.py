"""Shares of the training images, for learning curves: which images, and their rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.models.backends.base import Array
from bench.training.rows import Rows


@dataclass(frozen=True)
class Subset:
    """The rows of some of the training images, taken from those computed for all of them."""

    rows: Rows
    chosen: Array

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, indices: Array) -> Array:
        return self.rows.take(self.chosen[indices])


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
