"""Pairwise significance: the difference of each pair, p, and how often each would be ahead."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis import format as fmt
from bench.analysis.escape import markdown as safe
from bench.analysis.findings import Findings
from bench.analysis.statistics.pairwise import LEVEL
from bench.analysis.verdict import Pair, Verdict
from bench.reports.markdown_parts import table

MAX_WITH_INTERVALS = 8  # a wider matrix is unreadable; `verdict.json` has every interval


def text(findings: Findings) -> str:
    """Return a matrix, best first; nothing unless two are compared."""
    verdict = findings.verdict
    if not verdict.pairs:
        return ""
    labels = [standing.label for standing in verdict.standings]
    pairs = {(pair.better, pair.other): pair for pair in verdict.pairs}
    rows = [
        [safe(row), *(_cell(verdict, pairs, row, column) for column in labels)] for row in labels
    ]
    titles = ["", *(safe(label, 40) for label in labels)]
    return "\n\n".join(["## Pairwise significance", table(titles, rows), _about(verdict)])


def _cell(verdict: Verdict, pairs: Mapping[tuple[str, str], Pair], row: str, column: str) -> str:
    if row == column:
        return ""
    if pair := pairs.get((row, column)):
        figures = f"{100 * pair.difference:+.2f}"
        if len(verdict.standings) <= MAX_WITH_INTERVALS:
            figures += f" ({100 * pair.low:+.1f} to {100 * pair.high:+.1f})"
        if not verdict.tested:
            return figures
        figures += f", p {fmt.p_value(pair.p_holm)}"
        return f"**{figures}**" if pair.differ else figures
    return fmt.tenths(1 - pairs[column, row].beats)


def _about(verdict: Verdict) -> str:
    many = ", Holm-corrected over all pairs" if len(verdict.pairs) > 1 else ""
    few = len(verdict.standings) <= MAX_WITH_INTERVALS
    ends = ", with the 95% interval of this pair alone" if few else ""
    test = (
        "McNemar's mid-p test"
        if len(verdict.seeds) == 1
        else f"paired permutation with the spread of {len(verdict.seeds)} seeds added, mid-p"
    )
    p = (
        f", and p ({test}{many}); bold at p ≤ {LEVEL}. No significant difference does not mean "
        f"equal. "
        if verdict.tested
        else ". Two seeds are too few for a test. "
    )
    return (
        f"Right of the diagonal: how many points of accuracy the row is ahead of the column{ends}"
        f"{p}Left of it: how often the row is ahead of the column with {verdict.redrawn}, in "
        f"tenths."
    )
