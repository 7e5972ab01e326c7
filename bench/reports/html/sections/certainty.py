"""Pairwise significance: how far apart each pair is on the same test images, and p."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.verdict import Pair
from bench.reports.html.evidence import Seen
from bench.reports.html.values import Json, cell, number, table, text

MAX_SHOWN = 300


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    pairs, tested = findings.verdict.pairs, findings.verdict.tested
    if not pairs:
        return None
    titles = ["Ahead", "Behind", "Difference", "95% interval", "Stays ahead"]
    titles += ["p, Holm", "Significance"] if tested else []
    test = (
        "p is mid-p, Holm-corrected over all pairs; no significant difference does not mean equal"
        if tested
        else "two seeds are too few for a test"
    )
    return {
        "pairs": table(titles, [_row(pair, tested) for pair in pairs[:MAX_SHOWN]], left=(0, 1, 6)),
        "more": max(0, len(pairs) - MAX_SHOWN),
        "about": (
            f"Differences in percentage points, with the interval of each pair alone; “stays "
            f"ahead” is how often, with {findings.verdict.redrawn}, in tenths; {test}."
        ),
        "bars": [
            {
                "label": f"{text(pair.better, 60)} − {text(pair.other, 60)}",
                "ends": [number(v) for v in (pair.low, pair.difference, pair.high)],
                "differ": tested and pair.differ,
                "words": _words(pair) if tested else "",
                "text": f"{_points(pair.difference)} ({_points(pair.low)} to {_points(pair.high)})",
            }
            for pair in pairs
            if findings.verdict.best in (pair.better, pair.other)
        ],
    }


def _row(pair: Pair, tested: bool) -> list[Json | str]:
    test: list[Json | str] = [cell(fmt.p_value(pair.p_holm), pair.p_holm), _words(pair)]
    return [
        text(pair.better),
        text(pair.other),
        cell(_points(pair.difference), pair.difference),
        cell(f"{_points(pair.low)} to {_points(pair.high)}", pair.low),
        cell(fmt.tenths(pair.beats), pair.beats),
        *(test if tested else []),
    ]


def _words(pair: Pair) -> str:
    return "significant" if pair.differ else "no significant difference"


def _points(share: float) -> str:
    """Format a difference of shares in percentage points."""
    return f"{100 * share:+.2f}"
