"""Whether each phase helped or hurt, and training against validation figures."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.phases import Fit, Gain, PhaseOutcome, outcomes
from bench.reports.blocks import Cell, Section, Table, figure, figures, words

PLACE = 40
COLUMNS = (
    *words("Backbone", "Phase"),
    *figures("Test acc.", "Change", "95% interval"),
    *words("It"),
    *figures("Best: train", "val.", "Last: train", "val.", "Val. loss, best", "last"),
)


def section(findings: Findings) -> Section | None:
    """Return a row for each phase; nothing if no record has phases."""
    found = outcomes(findings)
    if not any(outcome.best for outcome in found):
        return None
    rows = tuple(_row(outcome) for outcome in found)
    return Section("phases", "Phases", _about(findings), [Table("Phases", COLUMNS, rows)])


def _about(findings: Findings) -> str:
    several = findings.several_seeds
    return (
        f"Change of test accuracy relative to the previous phase, in points, on the same images"
        f"{' and seeds' if several else ''}. "
        f"It helped or hurt only if the interval excludes no change. Best is the epoch whose "
        f"weights were kept, last the last one trained{'; means over seeds' * several}. "
        f"Training figures are computed during training, with dropout and augmentation. "
        f"Training far above validation, and a validation loss that rises from the best epoch to "
        f"the last, mean overfitting."
    )


def _row(outcome: PhaseOutcome) -> tuple[Cell, ...]:
    best, last = outcome.best, outcome.last
    return (
        Cell(outcome.label),
        Cell(outcome.phase),
        figure(outcome.accuracy, fmt.percent),
        *_gain(outcome.gain),
        *(figure(value, fmt.percent) for fit in (best, last) for value in _accuracies(fit)),
        *(figure(fit.val_loss if fit else None, fmt.decimals) for fit in (best, last)),
    )


def _gain(gain: Gain | None) -> tuple[Cell, Cell, Cell]:
    if gain is None:
        return (Cell(fmt.MISSING),) * 3
    ends = f"{100 * gain.low:+.2f} to {100 * gain.high:+.2f}"
    return Cell(f"{100 * gain.change:+.2f}", gain.change), Cell(ends, gain.low), Cell(gain.word)


def _accuracies(fit: Fit | None) -> tuple[float | None, float | None]:
    return (fit.accuracy, fit.val_accuracy) if fit else (None, None)
