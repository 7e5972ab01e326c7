"""Part of the training images, for learning curves: by class, nested, the same for every backbone.

Which images are left out is the training seed's choice, so that the spread over seeds covers it.
The images of a smaller share are all among those of a larger one with the same seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Rows(Protocol):
    """Anything that gives rows by image number."""

    def __len__(self) -> int: ...

    def take(self, indices: Array) -> Array: ...


@dataclass(frozen=True)
class Subset:
    """The rows of some images only; what was computed for all of them is not computed again."""

    rows: Rows
    chosen: Array

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, indices: Array) -> Array:
        return self.rows.take(self.chosen[indices])


def stratified(labels: Array, fraction: float, seed: int) -> Array:
    """Numbers of the images in the share, in order: that share of each class, rounded, and at
    least one image of it."""
    kept = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = np.random.default_rng([seed, 2, int(label)]).permutation(members)
        kept.append(order[: max(1, int(fraction * len(members) + 0.5))])
    return np.sort(np.concatenate(kept))
