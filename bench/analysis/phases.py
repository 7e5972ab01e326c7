"""Whether each phase helped: its change of test accuracy, and training against validation figures.

Only pretrained backbones: fine-tuning random weights under a frozen BatchNorm is meaningless. The
phases of a seed are compared with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from bench.analysis.findings import Findings
from bench.analysis.scores import Contender
from bench.analysis.statistics.intervals import change, spread
from bench.types import Epoch, Validation


@dataclass(frozen=True)
class Gain:
    """A change of test accuracy, with its 95% interval over images and seeds."""

    change: float
    low: float
    high: float

    @property
    def word(self) -> str:
        if self.low > 0:
            return "helped"
        return "hurt" if self.high < 0 else "not significant"


@dataclass(frozen=True)
class Fit:
    """Training and validation figures of one epoch, the mean over the seeds."""

    accuracy: float | None  # in training: none where a seed kept the weights from before it
    val_accuracy: float
    val_loss: float


@dataclass(frozen=True)
class PhaseOutcome:
    """One phase of one backbone, over its seeds."""

    label: str
    phase: str
    accuracy: float | None  # on the test images, after it
    gain: Gain | None  # over the phase before; none for the first
    best: Fit | None  # the epoch whose weights were kept
    last: Fit | None


def outcomes(findings: Findings) -> list[PhaseOutcome]:
    """Return every phase of every pretrained backbone, in the order of the table."""
    trials = findings.compared.items()
    return [outcome for label, found in trials for outcome in _of_backbone(label, found)]


def gain(after: NDArray[np.bool_], before: NDArray[np.bool_]) -> Gain:
    """Return how much more often images are right (seeds, images), paired by image and seed."""
    gained = spread(after.astype(np.int8) - before)
    low, high = change(gained, after.shape[1], after.shape[0])
    return Gain(float(gained.mean), float(low), float(high))


def _of_backbone(label: str, trials: Sequence[Contender]) -> list[PhaseOutcome]:
    names = list(dict.fromkeys(tuple(p.name for p in t.record.phases) for t in trials))
    if len(names) != 1:  # none, or seeds of different protocols, which share no phase
        return []
    known = [t.right_after for t in trials if t.right_after is not None]
    same = len(known) == len(trials) and len({k.shape for k in known}) == 1
    right = np.stack(known, axis=1) if same else None  # phases, seeds, images
    found = []
    for index, name in enumerate(names[0]):
        results = [t.record.phases[index] for t in trials]
        accuracy = gained = None
        if right is not None and index < len(right):
            accuracy = float(right[index].mean())
            if index:
                gained = gain(right[index], right[index - 1])
        best = _fit([(p.kept_epoch, p.kept) for p in results])
        ends = [p.epochs[-1] if p.epochs else None for p in results]
        last = _fit([(e, Validation(e.val_loss, e.val_accuracy) if e else None) for e in ends])
        found.append(PhaseOutcome(label, name, accuracy, gained, best, last))
    return found


def _fit(seeds: Sequence[tuple[Epoch | None, Validation | None]]) -> Fit | None:
    """Return the means over all seeds: those of some would be of other networks."""
    judged = [validation for _, validation in seeds if validation is not None]
    if len(judged) < len(seeds):
        return None
    trained = [epoch.accuracy for epoch, _ in seeds if epoch is not None]
    return Fit(
        fmean(trained) if len(trained) == len(seeds) else None,
        fmean(v.accuracy for v in judged),
        fmean(v.loss for v in judged),
    )
