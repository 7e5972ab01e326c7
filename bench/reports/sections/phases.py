"""Phases: whether each one helped or hurt, and training against validation figures."""

from __future__ import annotations

from itertools import chain

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.gains import PhaseOutcome, phase_outcomes
from bench.reports.blocks import Column, Range, Section, Table, Value, figure_columns, text_columns
from bench.types import PhaseResult, Record

PLACE = 40
COLUMNS = (
    *text_columns("Backbone", "Phase"),
    Column("Test acc.", fmt.percent),
    *figure_columns(fmt.signed_points, "Change", "95% interval"),
    Column("Effect"),
    *figure_columns(fmt.percent, "Best: train", "Best: val.", "Last: train", "Last: val."),
    *figure_columns(fmt.decimals, "Val. loss, best", "Val. loss, last"),
)
OF_TRIALS = (
    Column("Backbone"),
    Column("Seed", str),
    *text_columns("Phase", "Starts from", "Views"),
    Column("Trained", fmt.count, unit="parameters"),
    Column("Epochs", str),
    Column("Stopped"),
    Column("Kept", str),
    Column("Val. acc.", fmt.percent),
    *figure_columns(fmt.duration, "Compile", "Train"),
)


def section(findings: Findings) -> Section | None:
    """Return a row for each backbone and phase; `None` if no record has phases."""
    found = phase_outcomes(findings)
    if not any(outcome.best for outcome in found):
        return None
    trials = [(label, r) for label, rs in findings.records.items() for r in rs if r.status == "ok"]
    every = (_phase(label, r, phase) for label, r in trials for phase in r.phases)
    tables = [
        Table(
            "Phases", COLUMNS, tuple(_row(outcome) for outcome in found), about=_figures(findings)
        ),
        Table("The phases of every trial", OF_TRIALS, tuple(every), folded=True),
    ]
    return Section("phases", "Phases", _about(findings), tables)


def _phase(label: str, record: Record, phase: PhaseResult) -> tuple[Value, ...]:
    return (
        label,
        record.trial.seed,
        phase.name,
        phase.cut,
        phase.views,
        phase.trainable_parameters,
        len(phase.epochs),
        "early" if phase.stopped_early else "",
        phase.best_epoch,
        phase.kept.accuracy if phase.kept and record.pretrained else None,
        phase.compile_seconds,
        phase.train_seconds,
    )


def _about(findings: Findings) -> str:
    return (
        f"Change is the difference in test accuracy from the previous phase, in points, on the "
        f"same images{' and seeds' * findings.several_seeds}. A phase helped or hurt only if the "
        f"interval excludes zero."
    )


def _figures(findings: Findings) -> str:
    return (
        f"Best is the epoch whose weights were kept, last is the last one trained"
        f"{'; means over seeds' * findings.several_seeds}. If no epoch improved on the weights "
        f"before the phase, those are kept and have no training figure. Training figures are "
        f"computed during training, with dropout and augmentation. Training accuracy far above "
        f"validation, and a validation loss that rises from the best epoch to the last, indicate "
        f"overfitting."
    )


def _row(outcome: PhaseOutcome) -> tuple[Value, ...]:
    gain, fits = outcome.gain, (outcome.best, outcome.last)
    accuracies = ((fit.accuracy, fit.val_accuracy) if fit else (None, None) for fit in fits)
    return (
        outcome.label,
        outcome.phase,
        outcome.accuracy,
        *((gain.change, Range(gain.low, gain.high), gain.word) if gain else (None, None, None)),
        *chain.from_iterable(accuracies),
        *(fit.val_loss if fit else None for fit in fits),
    )
