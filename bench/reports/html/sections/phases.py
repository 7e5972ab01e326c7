"""Whether each phase helped or hurt, and training against validation figures."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.phases import Fit, Gain, PhaseOutcome, outcomes
from bench.reports.html.evidence import Seen
from bench.reports.html.values import Json, cell, table, text
from bench.reports.sections.phases import TITLES, about


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    found = outcomes(findings)
    if not any(outcome.best for outcome in found):
        return None
    return {
        "about": about(findings),
        "table": table(TITLES, [_row(o) for o in found], left=(0, 1, 5)),
    }


def _row(outcome: PhaseOutcome) -> list[Json | str]:
    best, last = outcome.best, outcome.last
    return [
        text(outcome.label),
        text(outcome.phase),
        _share(outcome.accuracy),
        *_gain(outcome.gain),
        *(_share(value) for fit in (best, last) for value in _accuracies(fit)),
        *(
            cell(fmt.decimals(fit.val_loss), fit.val_loss) if fit else cell(fmt.MISSING)
            for fit in (best, last)
        ),
    ]


def _gain(gain: Gain | None) -> tuple[Json, Json, str]:
    if gain is None:
        return cell(fmt.MISSING), cell(fmt.MISSING), fmt.MISSING
    ends = cell(f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}", gain.low)
    return cell(f"{100 * gain.change:+.2f}", gain.change), ends, gain.word


def _accuracies(fit: Fit | None) -> tuple[float | None, float | None]:
    return (fit.accuracy, fit.val_accuracy) if fit else (None, None)


def _share(value: float | None) -> Json:
    return cell(fmt.MISSING if value is None else fmt.percent(value), value)
