"""The ranked table: a row a backbone, with intervals and marks."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.analysis import columns
from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.base import METRICS
from bench.analysis.scores import RANDOM_INIT
from bench.analysis.verdict import Verdict
from bench.reports.html.values import Json, number, text


def data(findings: Findings) -> Json | None:
    table = findings.table
    if not len(table):
        return None
    shown = [c for c in columns.metric_columns() if table[c.name].notna().any()]
    # The most important first, so that narrow screens show them; the interval next to its mean.
    shown.sort(key=lambda c: (c.name not in ("accuracy", "accuracy_low"), -c.importance))
    return {
        "columns": [
            {
                "title": column.title,
                "name": column.name,
                "about": METRICS[column.name].title,
                "lower": METRICS[column.name].better == "lower",
                # Meaningless with random weights: such rows never sort among the others by it.
                "quality": METRICS[column.name].kind == "answers",
            }
            for column in shown
        ],
        "rows": [_row(row, shown, findings.verdict) for _, row in table.iterrows()],
        "about": columns.explanation(findings),
    }


def _row(row: pd.Series[Any], shown: list[columns.Column], verdict: Verdict) -> Json:
    recommended = len(verdict.standings) > 1 and row["label"] == verdict.recommended
    about = f"the cheapest of the best and those within {fmt.points(verdict.margin)} of it"
    if verdict.cheapest_by:
        about += f", by {verdict.cheapest_by}"
    return {
        "label": text(row["label"].removesuffix(f" ({RANDOM_INIT})")),
        "seed": int(row["seed"]) if "seed" in row else None,
        "rank": None if pd.isna(row["rank"]) else int(row["rank"]),
        "state": _state(row),
        "reason": text(row["reason"]),
        "failed": int(row.get("failed", 0)),
        "interval": [number(row[n]) for n in ("accuracy_low", "accuracy", "accuracy_high")],
        "verdict": text(row["verdict"]),
        "tie": row["ties"],
        "marks": [["recommended", about]] if recommended else [],
        "cells": [_cell(row, column) for column in shown],
    }


def _cell(row: pd.Series[Any], column: columns.Column) -> Json:
    shown = column.cell(row)
    meaningless = _state(row) == "random" and METRICS[column.name].kind == "answers"
    return {"text": shown, "value": None if meaningless else number(row[column.name])}


def _state(row: pd.Series[Any]) -> str:
    if row["status"] != "ok":
        return "failed"
    return "random" if row["weights"] == RANDOM_INIT else "ranked"
