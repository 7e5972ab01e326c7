"""Training curves: loss and accuracy of each epoch, phase by phase, a line a seed."""

from __future__ import annotations

from typing import Any

from bench.analysis.findings import Findings
from bench.analysis.scores import RANDOM_INIT
from bench.reports.blocks import Drawing, Section
from bench.types import PhaseResult, Record, Validation

PLACE = 30
ABOUT = (
    "Loss and accuracy by epoch. A ring marks the epoch whose weights were kept; point at a chart, "
    "or step through it with the arrow keys, for the figures of an epoch."
)
Json = dict[str, Any]


def section(findings: Findings) -> Section | None:
    """Return the curves of every backbone that trained, seed by seed."""
    backbones = []
    for label, records in findings.records.items():
        trained = [r for r in records if r.status == "ok" and any(p.epochs for p in r.phases)]
        if trained:
            backbones.append(
                {
                    "label": label,
                    "random": label.endswith(f"({RANDOM_INIT})"),
                    "seeds": [_seed(record) for record in trained],
                }
            )
    if not backbones:
        return None
    return Section(
        "curves", "Training", ABOUT, [Drawing("curves", {"backbones": backbones}, "curves")]
    )


def _seed(record: Record) -> Json:
    return {"seed": record.trial.seed, "phases": [_phase(phase) for phase in record.phases]}


def _phase(phase: PhaseResult) -> Json:
    return {
        "name": phase.name,
        "best": phase.best_epoch,
        "kept": _kept(phase.kept) if phase.kept else None,
        "stopped": phase.stopped_early,
        "loss": [e.loss for e in phase.epochs],
        "val_loss": [e.val_loss for e in phase.epochs],
        "accuracy": [e.accuracy for e in phase.epochs],
        "val_accuracy": [e.val_accuracy for e in phase.epochs],
    }


def _kept(validation: Validation) -> Json:
    return {"loss": validation.loss, "accuracy": validation.accuracy}
