"""The result of `choose` as text."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape

from bench.analysis import format as fmt
from bench.analysis.choice import Candidate, Choice, Limits, Purchase
from bench.analysis.escape import one_line
from bench.analysis.findings import Findings
from bench.analysis.runtimes import Lead


def show(choice: Choice, findings: Findings, console: Console) -> None:
    """Print it."""
    for line in lines(choice, findings.run.name):
        console.print(line)


def lines(choice: Choice, run: str) -> Iterator[str]:
    """Yield the pick, runners-up, refused with reasons, and what higher limits would allow."""
    asked = _limits(choice.limits)
    if choice.pick is None:
        yield f"[bold]No backbone of {escape(run)} is within {asked or 'the limits'}.[/bold]"
    else:
        yield f"[bold]Take {_name(choice.pick)}[/bold]: {_figures(choice.pick)}."
        yield _why(choice)
        if choice.pick.seed is not None:
            yield (
                f"All figures are those of {escape(str(choice.limits.runtime))}, with one trained "
                f"model of each backbone (here of seed {choice.pick.seed})."
            )
    if choice.runners_up:
        yield "\nRunners-up"
        for other in choice.runners_up:
            yield f"  {_name(other)}: {_figures(other)}{_lead(other.lead)}"
    if choice.refused:
        yield "\nRefused"
        for other in choice.refused:
            reasons = "; ".join(one_line(refusal.reason) for refusal in other.refusals)
            yield f"  {_name(other)}: {escape(reasons)}"
    if choice.limits.max_latency_ms is not None or choice.limits.max_mb is not None:
        yield "\nWhat a higher limit would allow"
        for purchase in choice.purchases:
            yield f"  {_purchase(purchase)}"
        if not choice.purchases:
            yield "  Raising one limit alone allows nothing more accurate."


def _why(choice: Choice) -> str:
    asked, margin = _limits(choice.limits), fmt.points(choice.margin)
    among = f"Of those with {asked}" if asked else "Of all ranked backbones"
    if not choice.runners_up:
        return f"{among}, it is the only one."
    if choice.pick is not None and choice.pick.place == "within":
        best = next(other for other in choice.runners_up if other.place == "best")
        return (
            f"{among}, {_name(best)} is the most accurate; this one is shown to be within "
            f"{margin} of it, and is the cheapest that is (by {choice.cheapest_by})."
        )
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
        parts.append(f"{limits.runtime} to run on")
    return escape(", ".join(parts))


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


def _purchase(purchase: Purchase) -> str:
    show = fmt.milliseconds if purchase.limit == "latency" else fmt.megabytes
    found = purchase.candidate
    text = f"{show(purchase.more)} more ({show(purchase.to)}): {_name(found)}, {_figures(found)}"
    return f"{text}{_lead(found.lead)}"


def _lead(lead: Lead | None) -> str:
    if lead is None:
        return ""
    value, low, high = (100 * x for x in (lead.value, lead.low, lead.high))
    chance = ", no significant difference" if lead.may_be_chance else ""
    return f"; {value:+.2f} points ({low:+.2f} to {high:+.2f}) against the pick{chance}"


def _name(candidate: Candidate) -> str:
    return escape(one_line(candidate.label))
