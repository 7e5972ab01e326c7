"""Accuracy of the pretrained backbones on corrupted images, averaged over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def corrupted_accuracy(compared: Mapping[str, Sequence[Contender]]) -> CorruptedAccuracy | None:
    """Average over the trials of each label; `None` if no corrupted image was tested."""
    seeds = {
        label: [one.robustness for one in trials if one.robustness is not None]
        for label, trials in compared.items()
    }
    seeds = {label: found for label, found in seeds.items() if found}
    if not seeds:
        return None
    last = [*seeds.values()][-1][0]
    rows = {label: _row(found) for label, found in seeds.items()}
    return CorruptedAccuracy(last.corruptions, last.right.shape[1], rows)


def _row(seeds: Sequence[Robustness]) -> BackboneAccuracy:
    images = seeds[0].images
    return BackboneAccuracy(
        clean=float(np.mean([one.clean for one in seeds])) / images,
        corrupted=np.mean([one.right for one in seeds], axis=0) / images,
        images=images,
    )
