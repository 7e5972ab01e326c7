"""What training gained: each phase over the one before it, and the trained model over simple
classifiers on the frozen features (probes), on the same test images and seeds.

Only pretrained backbones: random features tell nothing, and fine-tuning random weights under a
frozen BatchNorm is meaningless.
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


def _of_backbone(label: str, trials: Sequence[Contender]) -> list[PhaseOutcome]:
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


@dataclass(frozen=True)
class ProbeComparison:
    """One backbone over its seeds."""

    label: str
    # `knn_accuracy`, `logistic_accuracy`; of the model as it is trained `accuracy`, and
    # `head_accuracy` after the first of several phases
    accuracies: Mapping[str, Accuracy]
    best: str  # the probe that was better on the validation images, by its accuracy's name
    gain: Gain  # of the trained model over it


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
        chosen = {f"{n}_accuracy": sum(t.probes[n].val_accuracy for t in trials) for n in names}
        best = max(correct, key=lambda name: chosen[name])
        heads = [t.correct_after_phases[0] for t in trials if t.correct_after_phases is not None]
        if len(heads) == len(trials):
            correct["head_accuracy"] = np.stack(heads)
        correct["accuracy"] = np.stack([t.predictions.correct for t in trials])
        accuracies = {name: Accuracy.from_correct(answers) for name, answers in correct.items()}
        gained = Gain.from_correct(correct["accuracy"], correct[best])
        found.append(ProbeComparison(label, accuracies, best, gained))
    return found
