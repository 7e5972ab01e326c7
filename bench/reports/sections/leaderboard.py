"""Results: the ranked table with a row for each backbone, whose columns the metrics declare.
Backbones with random weights are in a second table, of times and sizes only.

`summary.csv` has every metric, with all digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.base import METRICS, Kind, Metric
from bench.analysis.table import is_random_init
from bench.reports.blocks import (
    Absent,
    Block,
    Column,
    Estimate,
    Range,
    RowMark,
    Section,
    Table,
    Value,
    metric_column,
)
from bench.reports.sections.certainty import worse_but_tied
from bench.types import RANDOM_INIT

PLACE = 1
TIMES_ONLY = "Times only: no pretrained weights"
NO_WEIGHTS = Absent("no pretrained weights", "no weights")
EXPLANATION = (
    "Accuracy and loss are on the held-out test set. The 95% interval is Wilson's; with several "
    "seeds it covers their spread. Training is the time to a trained model without any cache. p50 "
    "and p90 are latencies of one image through the whole model, preprocessing included."
)
STANDING_EXPLANATION = (
    "Verdict: “within the margin” if the 95% intervals of the differences from all others show it; "
    "“worse” if they exclude that it is as good as the best; otherwise “undecided”."
)
TIES_EXPLANATION = (
    "Backbones that share a letter under Ties do not differ significantly, which does not mean "
    "that they are equal."
)
RANK = Column(
    "#", fmt.whole, name="rank", better="lower", about="rank by test accuracy", importance=95
)
STANDING = (
    Column("Verdict", name="verdict", about="comparison with the best", importance=97),
    Column(
        "Ties",
        name="ties",
        about="backbones that share a letter do not differ significantly",
        importance=65,
    ),
    Column("P(first)", fmt.tenths, name="p_first", better="higher", importance=45, shaded=True),
)


def section(findings: Findings) -> Section:
    """Return the ranked table, and the table of backbones that have only times."""
    if not len(findings.table):
        return Section("leaderboard", "Results", "No trial finished.", brief=True)
    ranked = table(findings)
    blocks: list[Block] = [ranked] if ranked.rows else []
    times_only = findings.table[is_random_init(findings.table)]
    if len(times_only):
        metrics = [metric for metric in _ranked_metrics() if metric.kind != "answers"]
        blocks.append(_table(TIMES_ONLY, findings, times_only, metrics))
    if findings.is_averaged:
        title = "Every trial"
        metrics = _ranked_metrics()
        blocks.append(_table(title, findings, findings.trials, metrics, ranked=True, folded=True))
    return Section("leaderboard", "Results", "", blocks, brief=True)


def table(findings: Findings) -> Table:
    """Return the ranked table: a row for each backbone, or each trial where trials must not be
    averaged, without those that have random weights."""
    frame = findings.table[~is_random_init(findings.table)]
    title = "Backbones, ranked by test accuracy"
    standing = [c for c in STANDING if _known(frame, "p_first") and _known(frame, c.name)]
    found = _table(title, findings, frame, _ranked_metrics(), standing, ranked=True)
    return replace(found, about=explanation(findings))


def _table(
    title: str,
    findings: Findings,
    frame: pd.DataFrame,
    metrics: Sequence[Metric],
    standing: Sequence[Column] = (),
    *,
    ranked: bool = False,
    folded: bool = False,
) -> Table:
    metrics = [m for m in metrics if m.name == "accuracy" or _known(frame, m.name)]
    columns = [RANK] if ranked else []
    columns.append(Column("Backbone", name="label", importance=100))
    if several := "seed" in frame and frame["seed"].nunique() > 1:
        columns.append(Column("Seed", str, name="seed", importance=100))
    own = [_column(metric) for metric in metrics]
    columns += [*own[:2], *standing, *own[2:]]
    cells, marks = [], dict[int, RowMark]()
    for number, (_, row) in enumerate(frame.iterrows()):
        figures = [_cell(metric, row) for metric in metrics]
        placed = [None if row[one.name] == "" else row[one.name] for one in standing]
        rank = [None if pd.isna(row["rank"]) else int(row["rank"])] if ranked else []
        seed = [int(row["seed"])] if several else []
        cells.append((*rank, _name(row), *seed, *figures[:2], *placed, *figures[2:]))
        mark = _mark(row, findings)
        # Backbones are recommended, not each of their trials.
        if mark is not None and not (folded and mark.state == "chosen"):
            marks[number] = mark
    return Table(title, tuple(columns), tuple(cells), marks, folded)


def explanation(findings: Findings) -> str:
    """Return sentences that explain the columns of the ranked table."""
    parts = [EXPLANATION]
    if findings.is_averaged:
        parts.insert(0, "Means over seeds ± standard deviation.")
    if findings.verdict.pairs:
        parts.append(STANDING_EXPLANATION)
        if any(standing.ties for standing in findings.verdict.standings):
            parts.append(TIES_EXPLANATION + worse_but_tied(findings.verdict))
        parts.append(f"P(first) is how often a backbone is first with {findings.verdict.redrawn}.")
    return " ".join(parts)


def _ranked_metrics() -> list[Metric]:
    """Return the metrics that declare a column, by kind and in the order of registration."""
    shown = [metric for metric in METRICS if metric.column is not None]
    return sorted(shown, key=lambda metric: get_args(Kind).index(metric.kind))


def _known(frame: pd.DataFrame, name: str) -> bool:
    values = frame[name]
    return bool((values.notna() & (values != "")).any())


def _column(metric: Metric) -> Column:
    own = metric.column
    assert own is not None
    column = metric_column(metric.name, own.title, own.show, own.importance)
    return replace(column, name=metric.name.removesuffix("_low"), strip=bool(own.up_to))


def _cell(metric: Metric, row: pd.Series[Any]) -> Value:
    """Return the cell of a metric; accuracy has none with random weights."""
    own, value = metric.column, row[metric.name]
    assert own is not None
    if metric.name == "accuracy" and row["status"] == "ok" and row["weights"] == RANDOM_INIT:
        return NO_WEIGHTS
    if pd.isna(value):
        return None
    if own.up_to:
        return Range(value, row[own.up_to], row.get(metric.name.removesuffix("_low")))
    return Estimate(value, deviation=row.get(f"{metric.name}_std")) if own.spread else float(value)


def _name(row: pd.Series[Any]) -> str:
    """Return the label, with the number of failed seeds, if any."""
    label = str(row["label"])
    if row["status"] != "ok":
        return f"{label} (failed)"
    failed = row.get("failed", 0)
    return f"{label} ({failed} of {failed + row['seeds']} seeds failed)" if failed else label


def _mark(row: pd.Series[Any], findings: Findings) -> RowMark | None:
    verdict = findings.verdict
    if row["status"] != "ok":
        return RowMark("failed", "failed", str(row["reason"]))
    if row["weights"] == RANDOM_INIT:
        return RowMark(
            "muted", RANDOM_INIT, "its accuracy is meaningless; times and sizes are valid"
        )
    if len(verdict.standings) > 1 and row["label"] == verdict.recommended:
        about = f"the cheapest of the best and those within {fmt.points(verdict.margin)} of it"
        about += f", by {verdict.cheapest_by}" if verdict.cheapest_by else ""
        return RowMark("chosen", "recommended", about)
    return None
