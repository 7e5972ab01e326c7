"""The cost of inference: arithmetic, memory and energy."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.reports.html.evidence import Seen
from bench.reports.html.values import Json, cell, table, text
from bench.reports.sections.costs import ABOUT, FIGURES


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    ok = findings.backbones[findings.backbones["status"] == "ok"]
    if not len(ok) or ok["gflops"].isna().all():
        return None
    figures = [figure for figure in FIGURES if ok[figure[1]].notna().any()]
    rows = [
        [text(row["label"])]
        + [
            cell(fmt.MISSING if pd.isna(row[name]) else show(row[name]), row[name])
            for _, name, show in figures
        ]
        for _, row in ok.iterrows()
    ]
    titles = ["Backbone", *(title for title, _, _ in figures)]
    return {"about": ABOUT, "table": table(titles, rows, left=(0,))}
