"""Every pair of backbones: by how much they differ, how sure that is, and who would be ahead."""

from __future__ import annotations

from bench.report.escape import markdown as safe
from bench.report.findings import Findings
from bench.report.markdown_parts import table
from bench.report.verdict import Pair, Verdict


def text(findings: Findings) -> str:
    """A matrix, the best first; nothing where there are no two to compare."""
    verdict = findings.verdict
    if not verdict.pairs:
        return ""
    labels = [standing.label for standing in verdict.standings]
    pairs = {(pair.better, pair.other): pair for pair in verdict.pairs}
    rows = [[safe(row), *(_cell(pairs, row, column) for column in labels)] for row in labels]
    titles = ["", *(safe(label, 40) for label in labels)]
    return "\n\n".join(["## Pairs", table(titles, rows), _about(verdict)])


def _cell(pairs: dict[tuple[str, str], Pair], row: str, column: str) -> str:
    if row == column:
        return ""
    if pair := pairs.get((row, column)):
        ends = f"{100 * pair.low:+.1f} to {100 * pair.high:+.1f}"
        figures = f"{100 * pair.difference:+.2f} ({ends}), p {_chance(pair.adjusted)}"
        return f"**{figures}**" if pair.differ else figures
    return f"{100 * (1 - pairs[column, row].beats):.0f}%"


def _chance(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _about(verdict: Verdict) -> str:
    many = ", Holm-corrected over all pairs" if len(verdict.pairs) > 1 else ""
    what = "test images" if len(verdict.seeds) == 1 else "test images and seeds"
    return (
        f"Right of the diagonal: how many points of accuracy the row is ahead of the column, with "
        f"the 95% interval of this pair alone, and p{many}; bold where the two can be told apart. "
        f"Left of it: how often the row would be ahead of the column with other {what}."
    )
