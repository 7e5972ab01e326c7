"""A comparison as text: a table of changes, what else differs, and what was not compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from tabulate import tabulate

from bench.analysis import format as fmt
from bench.analysis.comparison import Change, Comparison
from bench.analysis.escape import one_line, shorten
from bench.analysis.metrics.base import METRICS

_SHOW = {
    "share": fmt.percent,
    "ms": fmt.milliseconds,
    "s": fmt.duration,
    "MB": fmt.megabytes,
    "images/s": fmt.significant,
    "parameters": fmt.count,
}


def show(found: Comparison, console: Console) -> None:
    """Print it."""
    for line in lines(found):
        # Lines are not wrapped here: a terminal wraps them better.
        console.print(line, markup=False, soft_wrap=True)


def lines(found: Comparison) -> Iterator[str]:
    """Yield the changes by backbone, what was not compared and why, and what else differs."""
    yield f"{found.before} → {found.after}, on {found.images:,} test images that both have"
    yield ""
    yield from _table(found) if found.changes else ["Nothing can be compared."]
    refused = [f"{n.label}, {', '.join(n.figures) or 'all'}: {n.reason}" for n in found.refused]
    yield from _list("Not compared", refused)
    differing = [f"{c.field}: {c.before} → {c.after}" for c in found.differing]
    yield from _list("Other differences, which may be the cause", differing)


def change_text(change: Change) -> str:
    """Return one change as a line: before, after, and its interval."""
    unit = METRICS[change.figure].unit
    interval = f" ({_interval(change, unit)})" if change.low is not None else ""
    return (
        f"{change.label}: {change.figure} {_value(change.before, unit)} → "
        f"{_value(change.after, unit)}, {_difference(change.difference, unit)}{interval}"
    )


def _table(found: Comparison) -> list[str]:
    titles = ("Backbone", "Figure", "Before", "After", "Change", "95% interval", "")
    rows = []
    last = ""
    for change in found.changes:
        unit = METRICS[change.figure].unit
        rows.append(
            (
                "" if change.label == last else shorten(one_line(change.label), 40),
                change.figure,
                _value(change.before, unit),
                _value(change.after, unit),
                _difference(change.difference, unit),
                _interval(change, unit) if change.low is not None else fmt.MISSING,
                _judgement(change),
            )
        )
        last = change.label
    aligned = ("left", "left", "right", "right", "right", "right", "left")
    text = tabulate(rows, titles, tablefmt="plain", colalign=aligned, disable_numparse=True)
    return text.splitlines()


def _judgement(change: Change) -> str:
    if change.low is None:
        return "the same" if change.difference == 0 else ""
    if not change.beyond_chance:
        return "may be chance"
    metric = METRICS[change.figure]
    if metric.better == "neither":
        return ""
    word = "better" if (change.difference > 0) == (metric.better == "higher") else "worse"
    # One process each: the interval is estimated within the processes.
    return word if metric.kind == "answers" else f"likely {word}"


def _value(value: float, unit: str) -> str:
    return _SHOW.get(unit, fmt.decimals)(value)


def _difference(value: float, unit: str) -> str:
    if unit == "share":
        return f"{100 * value:+.2f} points"
    sign = "+" if value > 0 else "-" if value < 0 else ""
    return f"{sign}{_value(abs(value), unit)}"


def _interval(change: Change, unit: str) -> str:
    assert change.low is not None  # checked by the callers
    assert change.high is not None
    if unit == "share":
        return f"{100 * change.low:+.2f} to {100 * change.high:+.2f}"
    return f"{_difference(change.low, unit)} to {_difference(change.high, unit)}"


def _list(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield ""
        yield title
        yield from (f"  {one_line(item)}" for item in items)
