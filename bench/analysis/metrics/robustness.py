"""Accuracy on corrupted test images, if the run measured it: of a trial, and over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.base import METRICS, Metric, derived
from bench.analysis.metrics.classification import Floats, answers
from bench.storage.records import Evidence


@dataclass(frozen=True)
class Robustness:
    """Right answers by corruption and strength, and on the same images uncorrupted; over several
    seeds, their means."""

    corruptions: tuple[str, ...]
    right: NDArray[np.int64] | Floats  # corruptions x strengths
    clean: float
    images: int

    @property
    def corrupted(self) -> Floats:
        """Return the accuracy by corruption and strength."""
        shares: Floats = self.right / self.images
        return shares

    @property
    def mean(self) -> float:
        """Return the accuracy over all corruptions and strengths, equally weighted."""
        return float(self.right.mean() / self.images)


def robustness(evidence: Evidence) -> Robustness | None:
    """Read the stored answers; `None` if there are none, or not only numbers."""
    found = answers(evidence, "test")
    probabilities = evidence.arrays.get("robust_probabilities")
    if found is None or probabilities is None or not np.isfinite(probabilities).all():
        return None
    images = evidence.arrays["robust_images"]
    labels, clean = found[0][images], found[1][images]
    return Robustness(
        corruptions=tuple(str(name) for name in evidence.arrays["robust_corruptions"]),
        right=(probabilities.argmax(axis=-1) == labels).sum(axis=-1),
        clean=int((clean.argmax(axis=1) == labels).sum()),
        images=len(images),
    )


def over_seeds(seeds: Sequence[Robustness]) -> Robustness:
    """Return the means of what one backbone's seeds got right."""
    return replace(
        seeds[0],
        right=np.mean([one.right for one in seeds], axis=0),
        clean=float(np.mean([one.clean for one in seeds])),
    )


_accuracy = derived(robustness, lambda found: found.mean)
_images = derived(robustness, lambda found: found.images)
for _metric in (
    Metric("robust_accuracy", "accuracy on corrupted images", "share", "higher", _accuracy),
    Metric("robust_images", "test images that were corrupted", "images", "neither", _images),
):
    METRICS.add(_metric)
