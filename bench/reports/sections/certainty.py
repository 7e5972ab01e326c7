"""Pairwise significance: the difference of each pair on the same test images, and its p-value."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.format import signed_points as points
from bench.analysis.statistics.pairwise import LEVEL
from bench.analysis.verdict import Pair, Verdict, join_names
from bench.reports.blocks import Column, Range, Section, Table, Value, limited_table, text_columns
from bench.reports.charts import Axis, Chart, Mark, difference_panel

PLACE = 10
MAX_SHOWN = 300
COLUMNS = (
    *text_columns("Ahead", "Behind"),
    Column("Difference", fmt.signed_points, unit="points"),
    Column("95% interval", fmt.signed_points, unit="points"),
    Column("P(ahead)", fmt.tenths),
    Column("p, Holm", fmt.p_value),
    Column("Significance"),
)


def section(findings: Findings) -> Section | None:
    """Return a row for each pair, best first; `None` if fewer than two backbones are compared."""
    verdict = findings.verdict
    if not verdict.pairs:
        return None
    tested = verdict.tested
    columns = COLUMNS if tested else COLUMNS[:5]
    rows = tuple(_row(pair, tested) for pair in verdict.pairs)
    table = Table("All pairs", columns, rows, folded=True, about=_about(verdict))
    return Section(
        "certainty",
        "Pairwise significance",
        "Differences in accuracy, in percentage points, on the same test images, with their 95% "
        "intervals. Where an interval includes zero, the data do not show which is better."
        + worse_but_tied(verdict),
        [_chart(verdict), *limited_table(table, MAX_SHOWN, "in `verdict.json`")],
    )


def worse_but_tied(verdict: Verdict) -> str:
    """Return why some backbones are worse than the best without a significant difference from it;
    "" if there are none."""
    names = [name for name in verdict.placed("worse") if name in verdict.not_significant]
    others, pairs = len(verdict.standings) - 1, len(verdict.pairs)
    if not names or others == pairs:
        return ""
    return (
        f" Worse, but without a significant difference: {join_names(names)}. The verdict is "
        f"corrected for the {others} comparisons with the best, but ties and pairwise significance "
        f"for all {pairs} pairs, which is stricter."
    )


def _row(pair: Pair, tested: bool) -> tuple[Value, ...]:
    apart = Range(pair.low, pair.high, pair.difference)
    shown = (pair.better, pair.other, pair.difference, apart, pair.beats)
    return (*shown, pair.p_holm, _significance(pair)) if tested else shown


def _chart(verdict: Verdict) -> Chart:
    """Draw the differences from the best."""
    pairs = [pair for pair in verdict.pairs if verdict.best in (pair.better, pair.other)]
    names = tuple(f"{pair.better} − {pair.other}" for pair in pairs)
    marks: dict[str, list[Mark]] = {"significant": [], "not significant" * verdict.tested: []}
    for row, pair in enumerate(pairs):
        name = "significant" if pair.differ else "not significant"
        found = marks[name if verdict.tested else ""]
        found.append(_mark(pair, row, names[row], tested=verdict.tested))
    panel = difference_panel(Axis("percentage points"), names, marks)
    return Chart("differences", "Differences from the best", (panel,))


def _mark(pair: Pair, row: int, name: str, *, tested: bool) -> Mark:
    ends = 100 * pair.low, 100 * pair.high
    tip = f"{points(pair.difference)} ({points(pair.low)} to {points(pair.high)})"
    return Mark(
        100 * pair.difference,
        row,
        name,
        (tip, _significance(pair)) if tested else (tip,),
        ends,
        about=pair.other,
    )


def _significance(pair: Pair) -> str:
    return "significant" if pair.differ else "no significant difference"


def _about(verdict: Verdict) -> str:
    many = ", Holm-corrected over all pairs" if len(verdict.pairs) > 1 else ""
    test = (
        "McNemar's mid-p test"
        if len(verdict.seeds) == 1
        else f"paired permutation test, mid-p, with the spread of {len(verdict.seeds)} seeds"
    )
    p = (
        f"p: {test}{many}; significant at p ≤ {LEVEL}. “No significant difference” does not mean "
        f"equal."
        if verdict.tested
        else "Two seeds are too few for a test."
    )
    return (
        f"Each interval is for its pair alone. P(ahead) is how often the better one is ahead with "
        f"{verdict.redrawn}, in tenths. {p}"
    )
