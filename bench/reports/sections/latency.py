"""How the timed queries of one image spread, backbone by backbone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Floats
from bench.analysis.scores import RANDOM_INIT
from bench.reports.blocks import Column, Drawing, Section, Table, measured

PLACE = 80
PERCENTILES = ("p50", "p90", "p99")
FIGURES = (
    *((f"latency_{name}_ms", name, fmt.milliseconds) for name in PERCENTILES),
    ("latency_iqr_ms", "Middle half", fmt.milliseconds),
    ("latency_queries", "Queries", fmt.whole),
)
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
    table = Table(
        "Latency of one image",
        (Column("Backbone"), *(measured(*one) for one in FIGURES)),
        tuple((label, *(rows[label][name] for name, _, _ in FIGURES)) for label in fastest),
    )
    drawn = [_backbone(label, timed[label], rows[label]) for label in fastest]
    return Section("latency", "Latency", ABOUT, [Drawing("latency", {"backbones": drawn}), table])


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
