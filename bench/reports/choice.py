"""The result of `choose` as a section."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis import format as fmt
from bench.analysis.choice import Candidate, Choice, Limits, RaisedLimit
from bench.analysis.ranked_predictions import Lead
from bench.reports.blocks import (
    Block,
    Column,
    Estimate,
    Notes,
    Range,
    Section,
    Statement,
    Table,
    Value,
    note_list,
)

RUNNERS_UP = (
    Column("Backbone"),
    Column("Accuracy", fmt.percent),
    Column("in Keras", fmt.percent),
    Column("Median latency", fmt.milliseconds),
    Column("Size", fmt.megabytes),
    Column("Against the pick", fmt.signed_points, unit="points"),
    Column("95% interval", fmt.signed_points, unit="points"),
    Column("Significance"),
)


def section(choice: Choice, run: str) -> Section:
    """Return the pick, the runners-up, the refused with reasons, and what higher limits allow."""
    return Section("choice", f"Choice from {run}", "", [*_blocks(choice, run)])


def _blocks(choice: Choice, run: str) -> Iterator[Block]:
    if choice.pick is None:
        limits = _limits(choice.limits)
        yield Statement(f"No backbone of {run} meets the limits{limits and f': {limits}'}.")
    else:
        yield Statement(f"Take {choice.pick.label}: {_figures(choice.pick)}.", _why(choice))
    if choice.runners_up:
        rows = [_row(other) for other in choice.runners_up]
        filled = [i for i in range(len(RUNNERS_UP)) if any(row[i] is not None for row in rows)]
        yield Table("Runners-up", RUNNERS_UP, tuple(rows)).only(filled)
    reasons = ((c.label, "; ".join(r.reason for r in c.refusals)) for c in choice.refused)
    yield Notes(tuple(reasons), "Refused")
    if choice.limits.max_latency_ms is not None or choice.limits.max_mb is not None:
        nothing = ["No backbone within a single higher limit is more accurate."]
        gains = [_raised_limit(raised) for raised in choice.purchases]
        yield note_list(gains or nothing, "What a higher limit would allow")


def _row(candidate: Candidate) -> tuple[Value, ...]:
    lead, accuracy = candidate.lead, candidate.accuracy
    against: tuple[Value, ...] = (None, None, None)
    if lead is not None:
        chance = "no significant difference" if lead.may_be_chance else ""
        against = (lead.value, Range(lead.low, lead.high), chance)
    return (
        candidate.label,
        None if accuracy is None else Estimate(accuracy, candidate.low, candidate.high),
        candidate.keras_accuracy,
        candidate.latency_ms,
        candidate.size_mb,
        *against,
    )


def _why(choice: Choice) -> str:
    assert choice.pick is not None
    parts = [_reason(choice, choice.pick)]
    if choice.pick.seed is not None:
        parts.append(
            f"All figures are from {choice.limits.runtime}, with one trained model of each "
            f"backbone (here seed {choice.pick.seed})."
        )
    return " ".join(parts)


def _reason(choice: Choice, pick: Candidate) -> str:
    limits, margin = _limits(choice.limits), fmt.points(choice.margin)
    among = f"Of the backbones with {limits}" if limits else "Of all ranked backbones"
    if not choice.runners_up:
        return f"{among}, it is the only one."
    if pick.place == "within":
        best = next(other for other in choice.runners_up if other.place == "best")
        return (
            f"{among}, {best.label} is the most accurate; {pick.label} is the cheapest of those "
            f"shown to be within {margin} of it (by {choice.cheapest_by})."
        )
    if by := choice.cheapest_of_all_by:
        return f"{among}, it is the most accurate, and the cheapest (by {by})."
    return f"{among}, it is the most accurate; no cheaper one is shown to be within {margin} of it."


def _limits(limits: Limits) -> str:
    parts = []
    if limits.max_latency_ms is not None:
        parts.append(f"at most {fmt.milliseconds(limits.max_latency_ms)}")
    if limits.max_mb is not None:
        parts.append(f"at most {fmt.megabytes(limits.max_mb)}")
    if limits.min_accuracy is not None:
        parts.append(f"at least {fmt.percent(limits.min_accuracy)} accuracy")
    if limits.runtime is not None:
        parts.append(f"the runtime {limits.runtime}")
    return ", ".join(parts)


def _figures(candidate: Candidate) -> str:
    parts = []
    if candidate.accuracy is not None and candidate.low is not None and candidate.high is not None:
        interval = fmt.interval(candidate.low, candidate.high)
        parts.append(f"{fmt.percent(candidate.accuracy)} accuracy ({interval})")
    if candidate.keras_accuracy is not None:
        parts.append(f"{fmt.percent(candidate.keras_accuracy)} in Keras")
    if candidate.latency_ms is not None:
        parts.append(f"{fmt.milliseconds(candidate.latency_ms)} median latency")
    if candidate.size_mb is not None:
        parts.append(fmt.megabytes(candidate.size_mb))
    return ", ".join(parts)


def _raised_limit(raised: RaisedLimit) -> str:
    show = fmt.milliseconds if raised.limit == "latency" else fmt.megabytes
    found = raised.candidate
    text = f"{show(raised.more)} more ({show(raised.to)}): {found.label}, {_figures(found)}"
    return f"{text}{_lead(found.lead)}"


def _lead(lead: Lead | None) -> str:
    if lead is None:
        return ""
    value, low, high = map(fmt.signed_points, (lead.value, lead.low, lead.high))
    chance = ", no significant difference" if lead.may_be_chance else ""
    return f"; {value} points ({low} to {high}) against the pick{chance}"
