"""Accuracy of the pretrained backbones on corrupted images, averaged over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.robustness import Robustness, robustness
from bench.storage.records import Evidence, StoredRun
from bench.types import Record


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
    run: StoredRun, records: Mapping[str, Sequence[Record]]
) -> CorruptedAccuracy | None:
    """Read the stored answers; `None` if no corrupted image was tested."""
    rows: dict[str, BackboneAccuracy] = {}
    kinds: tuple[str, ...] = ()
    strengths = 0
    for label, of_label in records.items():
        evidence = (Evidence(r, run.dataset.classes, run.folder) for r in of_label)
        found = [one for one in map(robustness, evidence) if one is not None]
        if found:
            kinds, strengths = found[0].corruptions, found[0].right.shape[1]
            rows[label] = _row(found)
    return CorruptedAccuracy(kinds, strengths, rows) if rows else None


def _row(seeds: Sequence[Robustness]) -> BackboneAccuracy:
    images = seeds[0].images
    return BackboneAccuracy(
        clean=float(np.mean([one.clean for one in seeds])) / images,
        corrupted=np.mean([one.right for one in seeds], axis=0) / images,
        images=images,
    )
