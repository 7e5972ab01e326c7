"""Accuracy without the test images that leaked into training, next to the accuracy on all of them.

From the stored answers alone: nothing is trained again, so the weights have still seen the copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.classification import Predictions
from bench.analysis.statistics.intervals import Accuracy
from bench.data.audit.result import KeptAudit


@dataclass(frozen=True)
class LeakEstimate:
    """An accuracy over some of the test images, and its 95% interval."""

    accuracy: float
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class Leak:
    """What the leaked test images do to one backbone's accuracy, over its seeds."""

    label: str
    every: LeakEstimate  # over all test images
    clean: LeakEstimate | None  # without those that leaked; None if all did


def leaks(
    audit: KeptAudit | None, test_ids: Sequence[str], predicted: Mapping[str, Sequence[Predictions]]
) -> tuple[Leak, ...]:
    """Return one for each backbone, if test images leaked and were not dropped."""
    if audit is None or not audit.leaked or audit.on_leak == "drop":
        return ()
    seen = set(audit.leaked)
    clean = np.flatnonzero([id not in seen for id in test_ids])
    return tuple(
        Leak(label, estimate(each), estimate(each, clean) if len(clean) else None)
        for label, each in predicted.items()
    )


def estimate(seeds: Sequence[Predictions], images: NDArray[np.intp] | None = None) -> LeakEstimate:
    """Estimate from the answers of each seed, over all images or some of them."""
    correct = np.stack([predictions.correct for predictions in seeds])
    if images is not None:
        correct = correct[:, images]
    found = Accuracy.from_correct(correct)
    return LeakEstimate(found.value, found.low, found.high, correct.shape[1])
