"""The distribution of the timed queries of one image, by backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Floats
from bench.analysis.scores import RANDOM_INIT
from bench.reports.html.evidence import Seen
from bench.reports.html.values import Json, numbers, text

MAX_DRAWN = 240  # queries drawn; beyond that every n-th of them in order of their length


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    rows = {row["label"]: row for _, row in findings.backbones.iterrows()}
    timed = {label: one.milliseconds for label, one in seen.items() if one.milliseconds is not None}
    fastest = sorted(timed, key=lambda label: float(np.median(timed[label])))
    found = [_backbone(label, np.sort(timed[label]), rows[label]) for label in fastest]
    return {"backbones": found} if found else None


def _backbone(label: str, taken: Floats, row: pd.Series[Any]) -> Json:
    drawn = taken[np.linspace(0, len(taken) - 1, min(MAX_DRAWN, len(taken))).astype(int)]
    figures = {name: row[f"latency_{name}_ms"] for name in ("p50", "p90", "p99")}
    spread = row["latency_iqr_ms"]
    return {
        "label": text(label.removesuffix(f" ({RANDOM_INIT})")),
        "random": label.endswith(f"({RANDOM_INIT})"),
        "queries": len(taken),
        "drawn": numbers(drawn),
        # The box, like any percentile, needs enough queries.
        "quartiles": numbers(np.percentile(taken, [25, 50, 75])) if pd.notna(spread) else None,
        "percentiles": {
            name: fmt.milliseconds(value) for name, value in figures.items() if pd.notna(value)
        },
    }
