"""Accuracy of the pretrained backbones on corrupted images, averaged over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.robustness import Robustness
from bench.analysis.scores import Contender


@dataclass(frozen=True)
class BackboneAccuracy:
    """Accuracies of one backbone on the same images, clean and corrupted."""

    clean: float
    corrupted: NDArray[np.float64]  # corruptions x strengths
    images: int

    @property
    def mean(self) -> float:
        return float(self.corrupted.mean())

    def shares(self, corruptions: Sequence[str]) -> list[tuple[str, int, float]]:
        """Return the accuracy under each corruption and strength, which counts from 1."""
        return [
            (kind, strength, float(share))
            for kind, row in zip(corruptions, self.corrupted, strict=True)
            for strength, share in enumerate(row, 1)
        ]


@dataclass(frozen=True)
class CorruptedAccuracy:
    """All backbones, by label in the order of the ranking."""

    corruptions: tuple[str, ...]
    strengths: int
    rows: Mapping[str, BackboneAccuracy]


def corrupted_accuracy(
    trials: Iterable[Contender], order: Iterable[str]
) -> CorruptedAccuracy | None:
    """Average over the trials of each label, in this order; `None` if no corrupted image was
    tested."""
    found: dict[str, list[Robustness]] = {label: [] for label in order}
    for one in trials:
        if one.robustness is not None:
            found[one.label].append(one.robustness)
    rows = {label: _row(seeds) for label, seeds in found.items() if seeds}
    if not rows:
        return None
    last = found[list(rows)[-1]][0]
    return CorruptedAccuracy(last.corruptions, last.right.shape[1], rows)


def _row(seeds: Sequence[Robustness]) -> BackboneAccuracy:
    images = seeds[0].images
    return BackboneAccuracy(
        clean=float(np.mean([one.clean for one in seeds])) / images,
        corrupted=np.mean([one.right for one in seeds], axis=0) / images,
        images=images,
    )
