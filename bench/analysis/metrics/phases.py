"""What each phase of the protocol changed: test answers after it, and its best and last epochs.

Fine-tuning may help or hurt, and a network may overfit. The change of the last phase comes with its
interval, because a difference of a few images is mostly chance.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.base import METRICS, Metric, derived
from bench.analysis.metrics.classification import answers
from bench.storage.records import Evidence

if TYPE_CHECKING:
    from bench.analysis.statistics.intervals import Gain

Figure = Callable[[Evidence], float | None]


@lru_cache(maxsize=1)  # the figures of one trial are derived one after the other
def right_after_phases(evidence: Evidence) -> NDArray[np.bool_] | None:
    """Return right or wrong (phases, test images) after each of two or more phases."""
    found = answers(evidence, "test")
    probabilities = evidence.arrays.get("phase_test_probabilities")
    if found is None or probabilities is None or len(probabilities) < 2:
        return None
    if not np.isfinite(probabilities).all():
        return None
    right: NDArray[np.bool_] = probabilities.argmax(axis=2) == found[0]
    return right


def _gain(evidence: Evidence) -> Gain | None:
    """Return what the last phase added to the accuracy."""
    right = right_after_phases(evidence)
    if right is None:
        return None
    # SciPy is needed only here, and the worker imports every metric.
    from bench.analysis.statistics.intervals import Gain

    return Gain.from_correct(right[-1:], right[-2:-1])


def _epoch(which: Literal["best", "last"], of: Literal["train", "validation"]) -> Figure:
    def compute(evidence: Evidence) -> float | None:
        phases = evidence.record.phases
        if not phases or not phases[-1].epochs:
            return None
        phase = phases[-1]
        if which == "best" and of == "validation":
            return phase.kept.accuracy if phase.kept else None
        epoch = phase.kept_epoch if which == "best" else phase.epochs[-1]
        if epoch is None:  # the phase's initial weights have no training figures
            return None
        return epoch.accuracy if of == "train" else epoch.val_accuracy

    return compute


for _name, _title, _compute in (
    (
        "last_phase_change",
        "accuracy that the last phase added",
        derived(_gain, attrgetter("change")),
    ),
    ("last_phase_low", "95% interval of that, low end", derived(_gain, attrgetter("low"))),
    ("last_phase_high", "95% interval of that, high end", derived(_gain, attrgetter("high"))),
    ("best_epoch_train", "training accuracy, best epoch", _epoch("best", "train")),
    ("best_epoch_val", "validation accuracy, best epoch", _epoch("best", "validation")),
    ("last_epoch_train", "training accuracy, last epoch", _epoch("last", "train")),
    ("last_epoch_val", "validation accuracy, last epoch", _epoch("last", "validation")),
):
    METRICS.add(Metric(_name, _title, "share", "neither", _compute))
