"""Accuracy on corrupted test images, if measured, of one trial or averaged over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.base import METRICS, Metric, compute_from
from bench.analysis.metrics.classification import Floats, labels_and_probabilities
from bench.storage.records import Evidence


@dataclass(frozen=True)
class Robustness:
    """Numbers of correct predictions on corrupted images, or their means over several seeds."""

    corruptions: tuple[str, ...]
    correct: NDArray[np.int64] | Floats  # corruptions x strengths
    clean_correct: float  # on the same images uncorrupted
    images: int

    @property
    def corrupted(self) -> Floats:
        """Return the accuracy by corruption and strength."""
        accuracies: Floats = self.correct / self.images
        return accuracies

    @property
    def mean(self) -> float:
        """Return the accuracy over all corruptions and strengths, equally weighted."""
        return float(self.correct.mean() / self.images)


def robustness(evidence: Evidence) -> Robustness | None:
    """Return a trial's robustness; `None` if its probabilities are missing or not finite."""
    found = labels_and_probabilities(evidence, "test")
    probabilities = evidence.arrays.get("robust_probabilities")
    if found is None or probabilities is None or not np.isfinite(probabilities).all():
        return None
    images = evidence.arrays["robust_images"]
    labels, clean = found[0][images], found[1][images]
    return Robustness(
        corruptions=tuple(str(name) for name in evidence.arrays["robust_corruptions"]),
        correct=(probabilities.argmax(axis=-1) == labels).sum(axis=-1),
        clean_correct=int((clean.argmax(axis=1) == labels).sum()),
        images=len(images),
    )


def mean_over_seeds(seeds: Sequence[Robustness]) -> Robustness:
    """Return the mean of the seeds of one backbone."""
    return replace(
        seeds[0],
        correct=np.mean([one.correct for one in seeds], axis=0),
        clean_correct=float(np.mean([one.clean_correct for one in seeds])),
    )


_accuracy = compute_from(robustness, lambda found: found.mean)
_images = compute_from(robustness, lambda found: found.images)
for _metric in (
    Metric("robust_accuracy", "accuracy on corrupted images", "share", "higher", _accuracy),
    Metric("robust_images", "test images that were corrupted", "images", "neither", _images),
):
    METRICS.add(_metric)
