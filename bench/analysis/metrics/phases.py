"""The effect of each training phase: test predictions after it, and its best and last epochs.

Fine-tuning may help or hurt, and a network may overfit. The change by the last phase has an
interval, because a difference of a few images is mostly chance.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.base import METRICS, Metric, compute_from
from bench.analysis.metrics.classification import labels_and_probabilities
from bench.storage.records import Evidence

if TYPE_CHECKING:
    from bench.analysis.statistics.intervals import Gain

Figure = Callable[[Evidence], float | None]


@lru_cache(maxsize=1)  # the metrics of one trial are computed one after the other
def correct_after_phases(evidence: Evidence) -> NDArray[np.bool_] | None:
    """Return which test images are correct after each phase (phases, images).

    `None` if there are fewer than two phases, or their probabilities are not usable.
    """
    found = labels_and_probabilities(evidence, "test")
    probabilities = evidence.arrays.get("phase_test_probabilities")
    if found is None or probabilities is None or len(probabilities) < 2:
        return None
    if not np.isfinite(probabilities).all():
        return None
    correct: NDArray[np.bool_] = probabilities.argmax(axis=2) == found[0]
    return correct


def _gain(evidence: Evidence) -> Gain | None:
    """Return the gain in accuracy by the last phase."""
    correct = correct_after_phases(evidence)
    if correct is None:
        return None
    # SciPy is needed only here, and the worker imports every metric.
    from bench.analysis.statistics.intervals import Gain

    return Gain.from_correct(correct[-1:], correct[-2:-1])


def _epoch_accuracy(
    which: Literal["best", "last"], split: Literal["train", "validation"]
) -> Figure:
    """Build a metric function that returns an accuracy of an epoch of the last phase."""

    def compute(evidence: Evidence) -> float | None:
        phases = evidence.record.phases
        if not phases or not phases[-1].epochs:
            return None
        phase = phases[-1]
        if which == "best" and split == "validation":
            return phase.kept.accuracy if phase.kept else None
        epoch = phase.kept_epoch if which == "best" else phase.epochs[-1]
        if epoch is None:  # the phase's initial weights have no training figures
            return None
        return epoch.accuracy if split == "train" else epoch.val_accuracy

    return compute


for _name, _title, _compute in (
    (
        "last_phase_change",
        "change of accuracy by the last phase",
        compute_from(_gain, attrgetter("change")),
    ),
    ("last_phase_low", "95% interval of that, low end", compute_from(_gain, attrgetter("low"))),
    ("last_phase_high", "95% interval of that, high end", compute_from(_gain, attrgetter("high"))),
    ("best_epoch_train", "training accuracy, best epoch", _epoch_accuracy("best", "train")),
    ("best_epoch_val", "validation accuracy, best epoch", _epoch_accuracy("best", "validation")),
    ("last_epoch_train", "training accuracy, last epoch", _epoch_accuracy("last", "train")),
    ("last_epoch_val", "validation accuracy, last epoch", _epoch_accuracy("last", "validation")),
):
    METRICS.add(Metric(_name, _title, "share", "neither", _compute))
