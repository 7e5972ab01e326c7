"""The columns of the ranked table, shared by every format; metrics declare their own.

Every metric is in `summary.csv`. Cells are plain text, not yet escaped for a format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import get_args

import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.base import METRICS, Kind, Metric
from bench.analysis.metrics.base import Column as MetricColumn
from bench.analysis.scores import RANDOM_INIT

NO_WEIGHTS = "no pretrained weights"


@dataclass(frozen=True)
class Column:
    """One column of the ranked table; if it is too wide, the least important go first."""

    title: str
    name: str  # in the data frame
    importance: int
    cell: Callable[[pd.Series], str]


def metric_columns() -> list[Column]:
    """Return the columns that metrics declare, by kind and in the order of registration."""
    shown = [(metric, metric.column) for metric in METRICS if metric.column is not None]
    shown.sort(key=lambda pair: get_args(Kind).index(pair[0].kind))
    return [
        Column(column.title, metric.name, column.importance, partial(_cell, metric, column))
        for metric, column in shown
    ]


def _cell(metric: Metric, column: MetricColumn, row: pd.Series) -> str:
    """Return what a metric says of a row; no answer of random weights means anything."""
    if metric.kind == "answers" and row["status"] == "ok" and row["weights"] == RANDOM_INIT:
        return NO_WEIGHTS if metric.name == "accuracy" else fmt.MISSING
    return column.cell(row, metric.name)


def standing_columns() -> list[Column]:
    """Return the columns that say how a backbone compares with the others."""
    return [
        Column("Verdict", "verdict", 85, lambda row: row["verdict"] or fmt.MISSING),
        Column("Ties", "ties", 65, lambda row: row["ties"] or fmt.MISSING),
        Column("P(first)", "p_first", 45, _p_first),
    ]


def _p_first(row: pd.Series) -> str:
    return fmt.MISSING if pd.isna(row["p_first"]) else fmt.tenths(row["p_first"])


EXPLANATION = (
    "Accuracy and loss are on the held-out test set; the 95% interval is Wilson's and covers "
    "several seeds too. "
    "Training is the time from cold caches to a trained model. p50 and p90 are the latency of one "
    "image through the whole model, preprocessing included."
)

STANDING_EXPLANATION = (
    "Verdict: best; within the margin if the 95% intervals of the differences from all others show "
    "that; worse if they rule out that it is as good as the best; otherwise undecided."
)
TIES_EXPLANATION = (
    "Backbones that share a letter under Ties do not differ significantly, which does not make "
    "them equal."
)


def explanation(findings: Findings) -> str:
    """Explain the columns of the ranked table."""
    parts = [EXPLANATION]
    if findings.averaged:
        parts.insert(0, "Means over seeds ± standard deviation.")
    if findings.verdict.pairs:
        parts.append(STANDING_EXPLANATION)
        if any(standing.ties for standing in findings.verdict.standings):
            parts.append(TIES_EXPLANATION)
        parts.append(f"P(first) is how often each is first with {findings.verdict.redrawn}.")
    return " ".join(parts)


def of(table: pd.DataFrame) -> list[Column]:
    """Return the columns of the ranked table; `standing_columns` only if backbones are compared."""
    compared = table["p_first"].notna().any()
    standing = [c for c in standing_columns() if compared and (table[c.name] != "").any()]
    first, interval, *others = metric_columns()
    return [first, interval, *standing, *others]


def rank(row: pd.Series) -> str:
    """Return the rank, or a dash for what must not be ranked."""
    return fmt.MISSING if pd.isna(row["rank"]) else str(row["rank"])


def name(row: pd.Series) -> str:
    """Return the label, marked if something failed; random init is part of the label itself."""
    label = str(row["label"])
    if row["status"] != "ok":
        return f"{label} (failed)"
    failed = row.get("failed", 0)
    return f"{label} ({failed} of {failed + row['seeds']} seeds failed)" if failed else label
