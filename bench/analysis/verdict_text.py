"""A verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from bench.analysis import format as fmt
from bench.analysis.cost import Cheapest

if TYPE_CHECKING:
    from bench.analysis.verdict import Standing, Verdict

LONGEST = 2000  # characters: nothing of a verdict is cut off but endless names
MOST_NAMED = 8
MOST_UNDECIDED = 4  # each comes with two figures


def alone(verdict: Verdict) -> str:
    """Of a run with one ranked backbone."""
    (standing,) = verdict.standings
    return (
        f"{standing.label} is the only pretrained backbone that finished "
        f"({fmt.percent(standing.accuracy)}), so there is nothing to compare it with."
    )


def sentence(verdict: Verdict, least: Cheapest | None) -> str:
    """Who is best, who is within the margin, what to take, and what is not known."""
    best = verdict.standings[0]
    accuracy = f"{fmt.percent(best.accuracy)} ({fmt.interval(best.low, best.high)})"
    parts = [f"{best.label} is best, {accuracy}.", _advice(verdict, least)]
    if undecided := [s for s in verdict.standings if s.place == "undecided"]:
        told = [_undecided(standing) for standing in undecided[:MOST_UNDECIDED]]
        if more := len(undecided) - len(told):
            told.append(f"{more} more")
        parts.append(f"Undecided: {', '.join(told)}; {_what_would_decide(verdict, undecided)}.")
    if worse := verdict.placed("worse"):
        parts.append(f"Worse: {listed(worse)}.")
    if len(verdict.seeds) == 1:
        parts.append("One seed: this compares the trained networks, not the backbones.")
    return " ".join(parts)


def _advice(verdict: Verdict, least: Cheapest | None) -> str:
    within, margin = verdict.placed("within"), fmt.points(verdict.margin)
    if not within:
        return f"Take {verdict.best}: no cheaper one is shown to be within {margin}."
    told = f"Within {margin} of it: {listed(within)};"
    if least is None:
        return f"{told} take {verdict.best}, because no cost is known of all of them."
    which = "also the cheapest" if least.label == verdict.best else "the cheapest"
    return f"{told} take {least.label}, {which} ({least.cost})."


def _undecided(standing: Standing) -> str:
    # Rounded up, so that what is above the margin reads as above it.
    could_be = ceil(1000 * standing.could_be) / 10
    return f"{standing.label} ({100 * standing.behind:.1f} behind, could be {could_be:.1f})"


def _what_would_decide(verdict: Verdict, undecided: Sequence[Standing]) -> str:
    """How many images would, or seeds where no number of images would."""
    images = [s.images_to_decide for s in undecided if s.images_to_decide is not None]
    seeds = [s.seeds_to_decide for s in undecided if s.seeds_to_decide is not None]
    parts = []
    if images:
        parts.append((f"about {_range(images)} test images would decide", len(images)))
    if seeds:
        text = f"more test images cannot decide, about {_range(seeds)} seeds would"
        parts.append((text, len(seeds)))
    if left := len(undecided) - len(images) - len(seeds):
        what = "test images" if len(verdict.seeds) == 1 else "test images or seeds"
        parts.append((f"more {what} would hardly decide", left))
    if len(parts) == 1:
        return parts[0][0]
    return "; ".join(f"{text} ({count} of these)" for text, count in parts)


def _range(numbers: Sequence[int]) -> str:
    least, most = fmt.rough(min(numbers)), fmt.rough(max(numbers))
    return least if least == most else f"{least} to {most}"


def certainty(verdict: Verdict, seeds_of_anyone: int) -> str:
    """From what that follows, and how stable the order is."""
    seeds, others = len(verdict.seeds), len(verdict.standings) - 1
    over = "one seed" if seeds == 1 else f"{seeds} seeds"
    text = f"From paired 95% intervals on {verdict.images:,} test images and {over}"
    if others > 1:
        text += f"; worse is Holm-corrected over the {others} comparisons with the best"
    ahead = sorted(verdict.standings, key=lambda s: -(s.first or 0.0))[:2]
    drawn = " and ".join(f"{s.label} about {fmt.tenths(s.first or 0.0)}" for s in ahead)
    text += f". P(first), with {verdict.redrawn}: {drawn}."
    if seeds < seeds_of_anyone:
        text += f" Compared on the {seeds} of {seeds_of_anyone} seeds that all of them finished."
    if seeds == 2:
        text += " Two seeds show too little for a test: read the intervals, or train three or more."
    return text


def place(standing: Standing, margin: float) -> str:
    """How it stands, in a word or two for a table."""
    if standing.place == "within":
        return f"within {fmt.points(margin)}"
    return standing.place


def listed(names: Sequence[str]) -> str:
    """Names with commas and an `and`; many are counted."""
    shown = list(names[:MOST_NAMED])
    if (more := len(names) - MOST_NAMED) > 0:
        shown = [*shown, f"{more} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
