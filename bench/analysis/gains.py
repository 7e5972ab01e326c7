"""Gains in accuracy by training, on the same test images and seeds: of each phase over the one
before it, and of the trained model over the probes (simple classifiers on the frozen features).

Only pretrained backbones have them: random features carry no information, and fine-tuning random
weights under a frozen BatchNorm is meaningless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from bench.analysis.findings import Findings
from bench.analysis.scores import Contender
from bench.analysis.statistics.intervals import Accuracy, Gain
from bench.training.probes import PROBES
from bench.types import Epoch, Validation


@dataclass(frozen=True)
class EpochFigures:
    """Training and validation figures of one epoch, means over the seeds."""

    accuracy: float | None  # on the training images; None if a seed kept the weights before epoch 1
    val_accuracy: float
    val_loss: float


@dataclass(frozen=True)
class PhaseOutcome:
    """One phase of one backbone, over its seeds."""

    label: str
    phase: str
    accuracy: float | None  # on the test images, after the phase
    gain: Gain | None  # over the phase before; None for the first
    best: EpochFigures | None  # of the epoch whose weights were kept
    last: EpochFigures | None


def phase_outcomes(findings: Findings) -> list[PhaseOutcome]:
    """Return every phase of every pretrained backbone, in the order of the table."""
    trials = findings.compared.items()
    return [outcome for label, found in trials for outcome in _backbone_outcomes(label, found)]


def _backbone_outcomes(label: str, trials: Sequence[Contender]) -> list[PhaseOutcome]:
    names = list(dict.fromkeys(tuple(p.name for p in t.record.phases) for t in trials))
    if len(names) != 1:  # none, or seeds of different protocols, which share no phase
        return []
    known = [t.correct_after_phases for t in trials if t.correct_after_phases is not None]
    same = len(known) == len(trials) and len({k.shape for k in known}) == 1
    correct = np.stack(known, axis=1) if same else None  # phases, seeds, images
    found = []
    for index, name in enumerate(names[0]):
        results = [t.record.phases[index] for t in trials]
        accuracy = gained = None
        if correct is not None and index < len(correct):
            accuracy = float(correct[index].mean())
            if index:
                gained = Gain.from_correct(correct[index], correct[index - 1])
        best = _mean_figures([(p.kept_epoch, p.kept) for p in results])
        ends = [p.epochs[-1] if p.epochs else None for p in results]
        last = _mean_figures(
            [(e, Validation(e.val_loss, e.val_accuracy) if e else None) for e in ends]
        )
        found.append(PhaseOutcome(label, name, accuracy, gained, best, last))
    return found


def _mean_figures(
    seeds: Sequence[tuple[Epoch | None, Validation | None]],
) -> EpochFigures | None:
    """Return the means over the seeds; `None` if any seed has no validation figures."""
    validated = [validation for _, validation in seeds if validation is not None]
    if len(validated) < len(seeds):
        return None
    trained = [epoch.accuracy for epoch, _ in seeds if epoch is not None]
    return EpochFigures(
        fmean(trained) if len(trained) == len(seeds) else None,
        fmean(v.accuracy for v in validated),
        fmean(v.loss for v in validated),
    )


@dataclass(frozen=True)
class ProbeComparison:
    """The trained model of one backbone against its probes, over its seeds."""

    label: str
    # `knn_accuracy`, `logistic_accuracy`; `accuracy` of the trained model, and with several phases
    # `head_accuracy` after the first
    accuracies: Mapping[str, Accuracy]
    best: str  # key of the probe with the higher validation accuracy
    gain: Gain  # of the trained model over the best probe


def probe_comparisons(findings: Findings) -> list[ProbeComparison]:
    """Return a comparison for each backbone whose probes were fitted, in the order of the table."""
    found = []
    for label, trials in findings.compared.items():
        names = [name for name in PROBES if all(name in t.probes for t in trials)]
        if not names:
            continue
        correct = {
            f"{name}_accuracy": np.stack([t.probes[name].correct for t in trials]) for name in names
        }
        validation = {f"{n}_accuracy": sum(t.probes[n].val_accuracy for t in trials) for n in names}
        best = max(correct, key=lambda name: validation[name])
        heads = [t.correct_after_phases[0] for t in trials if t.correct_after_phases is not None]
        if len(heads) == len(trials):
            correct["head_accuracy"] = np.stack(heads)
        correct["accuracy"] = np.stack([t.predictions.correct for t in trials])
        accuracies = {name: Accuracy.from_correct(each) for name, each in correct.items()}
        gained = Gain.from_correct(correct["accuracy"], correct[best])
        found.append(ProbeComparison(label, accuracies, best, gained))
    return found
