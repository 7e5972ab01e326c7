"""Overfitting: whether each phase helped or hurt, and training against validation figures."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.escape import markdown as safe
from bench.analysis.findings import Findings
from bench.analysis.phases import Fit, Gain, PhaseOutcome, outcomes
from bench.reports.markdown_parts import table

TITLES = (
    "Backbone",
    "Phase",
    "Test acc.",
    "Change",
    "95% interval",
    "It",
    "Best: train",
    "val.",
    "Last: train",
    "val.",
    "Val. loss, best",
    "last",
)


def text(findings: Findings) -> str:
    """Return a row a phase; nothing if no record has figures of its phases."""
    found = outcomes(findings)
    if not any(outcome.best for outcome in found):
        return ""
    rows = [_row(outcome) for outcome in found]
    return "\n\n".join(["## Phases", table(TITLES, rows, left=(0, 1, 5)), about(findings)])


def about(findings: Findings) -> str:
    """Explain the columns."""
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


def _row(outcome: PhaseOutcome) -> list[str]:
    test = fmt.MISSING if outcome.accuracy is None else fmt.percent(outcome.accuracy)
    best, last = outcome.best, outcome.last
    return [
        safe(outcome.label),
        safe(outcome.phase),
        test,
        *_gain(outcome.gain),
        *_accuracies(best),
        *_accuracies(last),
        fmt.decimals(best.val_loss) if best else fmt.MISSING,
        fmt.decimals(last.val_loss) if last else fmt.MISSING,
    ]


def _gain(gain: Gain | None) -> tuple[str, str, str]:
    if gain is None:
        return fmt.MISSING, fmt.MISSING, fmt.MISSING
    ends = f"{100 * gain.low:+.2f} to {100 * gain.high:+.2f}"
    return f"{100 * gain.change:+.2f}", ends, gain.word


def _accuracies(fit: Fit | None) -> tuple[str, str]:
    if fit is None:
        return fmt.MISSING, fmt.MISSING
    return fmt.percent(fit.accuracy), fmt.percent(fit.val_accuracy)
