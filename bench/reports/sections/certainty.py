"""Pairwise significance: how far apart each pair is on the same test images, and p."""

from __future__ import annotations

from typing import Any

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.statistics.pairwise import LEVEL
from bench.analysis.verdict import Pair, Verdict
from bench.reports.blocks import Block, Cell, Drawing, Notes, Section, Table, figures, words

PLACE = 10
MAX_SHOWN = 300


def section(findings: Findings) -> Section | None:
    """Return a row for each pair, best first; nothing unless two are compared."""
    verdict = findings.verdict
    if not verdict.pairs:
        return None
    tested = verdict.tested
    columns = (*words("Ahead", "Behind"), *figures("Difference", "95% interval", "Stays ahead"))
    columns += (*figures("p, Holm"), *words("Significance")) if tested else ()
    rows = tuple(_row(pair, tested) for pair in verdict.pairs[:MAX_SHOWN])
    blocks: list[Block] = [
        Drawing("certainty", {"bars": _bars(verdict)}),
        Table("Every pair", columns, rows, folded=True, about=_about(verdict)),
    ]
    if (more := len(verdict.pairs) - MAX_SHOWN) > 0:
        blocks.append(Notes((), more=more, where="in `verdict.json`"))
    return Section(
        "certainty",
        "Pairwise significance",
        "Differences in accuracy, in percentage points, on the same test images, with their 95% "
        "intervals. Where an interval reaches zero, the data do not say who is better.",
        blocks,
    )


def _row(pair: Pair, tested: bool) -> tuple[Cell, ...]:
    test = (Cell(fmt.p_value(pair.p_holm), pair.p_holm), Cell(_words(pair)))
    return (
        Cell(pair.better),
        Cell(pair.other),
        Cell(_points(pair.difference), pair.difference),
        Cell(f"{_points(pair.low)} to {_points(pair.high)}", pair.low),
        Cell(fmt.tenths(pair.beats), pair.beats),
        *(test if tested else ()),
    )


def _bars(verdict: Verdict) -> list[dict[str, Any]]:
    """Return the differences from the best."""
    tested = verdict.tested
    return [
        {
            "names": [pair.better, pair.other],
            "ends": [pair.low, pair.difference, pair.high],
            "differ": tested and pair.differ,
            "words": _words(pair) if tested else "",
            "text": f"{_points(pair.difference)} ({_points(pair.low)} to {_points(pair.high)})",
        }
        for pair in verdict.pairs
        if verdict.best in (pair.better, pair.other)
    ]


def _words(pair: Pair) -> str:
    return "significant" if pair.differ else "no significant difference"


def _points(share: float) -> str:
    """Format a difference of shares in percentage points."""
    return f"{100 * share:+.2f}"


def _about(verdict: Verdict) -> str:
    many = ", Holm-corrected over all pairs" if len(verdict.pairs) > 1 else ""
    test = (
        "McNemar's mid-p test"
        if len(verdict.seeds) == 1
        else f"paired permutation with the spread of {len(verdict.seeds)} seeds added, mid-p"
    )
    p = (
        f"p: {test}{many}; significant at p ≤ {LEVEL}. No significant difference does not mean "
        f"equal."
        if verdict.tested
        else "Two seeds are too few for a test."
    )
    return (
        f"Each interval is that of the pair alone. Stays ahead: how often, with "
        f"{verdict.redrawn}, in tenths. {p}"
    )
