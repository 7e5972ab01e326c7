"""How the timed queries of one image spread, backbone by backbone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Floats
from bench.analysis.scores import RANDOM_INIT
from bench.reports.blocks import Cell, Drawing, Section, Table, figure, figures, words

PLACE = 80
PERCENTILES = ("p50", "p90", "p99")
MAX_DRAWN = 240  # queries drawn; beyond that every n-th of them in order of their length
ABOUT = (
    "Every timed query of one image, pixels to probabilities, after the warm-up, fastest first. "
    "A percentile is left out where too few queries support it."
)


def section(findings: Findings) -> Section | None:
    """Return a row for each backbone that was timed, fastest first."""
    rows = {row["label"]: row for _, row in findings.backbones.iterrows()}
    timed = {
        label: np.sort(one.milliseconds)
        for label, one in findings.seen.items()
        if one.milliseconds is not None
    }
    if not timed:
        return None
    fastest = sorted(timed, key=lambda label: float(np.median(timed[label])))
    columns = (*words("Backbone"), *figures(*PERCENTILES, "Middle half", "Queries"))
    table = Table(
        "Latency of one image",
        columns,
        tuple(_row(label, rows[label], len(timed[label])) for label in fastest),
    )
    drawn = [_backbone(label, timed[label], rows[label]) for label in fastest]
    return Section("latency", "Latency", ABOUT, [Drawing("latency", {"backbones": drawn}), table])


def _row(label: str, row: pd.Series[Any], queries: int) -> tuple[Cell, ...]:
    return (
        Cell(label),
        *(figure(row[f"latency_{name}_ms"], fmt.milliseconds) for name in PERCENTILES),
        figure(row["latency_iqr_ms"], fmt.milliseconds),
        Cell(f"{queries:,}", queries),
    )


def _backbone(label: str, taken: Floats, row: pd.Series[Any]) -> dict[str, Any]:
    drawn = taken[np.linspace(0, len(taken) - 1, min(MAX_DRAWN, len(taken))).astype(int)]
    shown = {name: row[f"latency_{name}_ms"] for name in PERCENTILES}
    # The box, like any percentile, where enough queries support it.
    box = pd.notna(row["latency_iqr_ms"])
    return {
        "label": label.removesuffix(f" ({RANDOM_INIT})"),
        "random": label.endswith(f"({RANDOM_INIT})"),
        "queries": len(taken),
        "drawn": drawn.tolist(),
        "quartiles": np.percentile(taken, [25, 50, 75]).tolist() if box else None,
        "percentiles": {n: fmt.milliseconds(v) for n, v in shown.items() if pd.notna(v)},
    }
