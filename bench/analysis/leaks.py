"""Accuracy without the test images that leaked into training, next to that on all test images.

Computed from the stored predictions: nothing is trained again, so the weights have still seen the
copies.
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
    """An accuracy on a part of the test images, with its 95% interval."""

    accuracy: float
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class LeakEffect:
    """The accuracy of one backbone with and without the leaked test images, over its seeds."""

    label: str
    every: LeakEstimate  # on all test images
    clean: LeakEstimate | None  # without leaked images; None if all leaked


def leak_effects(
    audit: KeptAudit | None, test_ids: Sequence[str], predicted: Mapping[str, Sequence[Predictions]]
) -> tuple[LeakEffect, ...]:
    """Return the effect on each backbone; none if no test images leaked, or these were dropped."""
    if audit is None or not audit.leaked or audit.on_leak == "drop":
        return ()
    seen = set(audit.leaked)
    clean = np.flatnonzero([id not in seen for id in test_ids])
    return tuple(
        LeakEffect(
            label,
            estimate_accuracy(each),
            estimate_accuracy(each, clean) if len(clean) else None,
        )
        for label, each in predicted.items()
    )


def estimate_accuracy(
    seeds: Sequence[Predictions], images: NDArray[np.intp] | None = None
) -> LeakEstimate:
    """Estimate the accuracy from each seed's predictions, on all images or some of them."""
    correct = np.stack([predictions.correct for predictions in seeds])
    if images is not None:
        correct = correct[:, images]
    found = Accuracy.from_correct(correct)
    return LeakEstimate(found.value, found.low, found.high, correct.shape[1])
