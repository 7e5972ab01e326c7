"""Training curves: loss and accuracy of each epoch, phase by phase, a line a seed."""

from __future__ import annotations

from bench.analysis.findings import Findings
from bench.analysis.scores import RANDOM_INIT
from bench.reports.html.values import Json, number, numbers, text
from bench.types import PhaseResult, Record, Validation


def data(findings: Findings) -> Json | None:
    backbones = []
    for label, records in findings.records.items():
        trained = [r for r in records if r.status == "ok" and any(p.epochs for p in r.phases)]
        if trained:
            backbones.append(
                {
                    "label": text(label),
                    "random": label.endswith(f"({RANDOM_INIT})"),
                    "seeds": [_seed(record) for record in trained],
                }
            )
    return {"backbones": backbones} if backbones else None


def _seed(record: Record) -> Json:
    return {"seed": record.trial.seed, "phases": [_phase(phase) for phase in record.phases]}


def _phase(phase: PhaseResult) -> Json:
    return {
        "name": text(phase.name, 40),
        "best": phase.best_epoch,
        "kept": _kept(phase.kept) if phase.kept else None,
        "stopped": phase.stopped_early,
        "loss": numbers(e.loss for e in phase.epochs),
        "val_loss": numbers(e.val_loss for e in phase.epochs),
        "accuracy": numbers(e.accuracy for e in phase.epochs),
        "val_accuracy": numbers(e.val_accuracy for e in phase.epochs),
    }


def _kept(validation: Validation) -> Json:
    return {"loss": number(validation.loss), "accuracy": number(validation.accuracy)}
