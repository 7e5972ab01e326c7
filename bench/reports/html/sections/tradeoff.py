"""Accuracy against cost: a point a backbone, and the Pareto front."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.scores import RANDOM_INIT
from bench.reports.html.values import Json, number, text

COSTS = {
    "latency_p50_ms": ("Latency", "median latency of one image, ms", fmt.milliseconds),
    "size_mb": ("Size", "size of the weights, MB", fmt.megabytes),
    "inference_memory_mb": ("Memory", "memory that the model adds, MB", fmt.megabytes),
    "train_seconds": ("Training time", "training time from cold caches, s", fmt.duration),
}


def data(findings: Findings) -> Json | None:
    rows = findings.backbones.dropna(subset=["accuracy"])
    costs = {
        name: about for name, about in COSTS.items() if name in rows and rows[name].notna().any()
    }
    if not len(rows) or not costs:
        return None
    return {
        "costs": [
            {"name": name, "title": title, "axis": axis} for name, (title, axis, _) in costs.items()
        ],
        "points": [_point(row, list(costs)) for _, row in rows.iterrows()],
        "over": "over test images and seeds" if len(findings.verdict.seeds) > 1 else "",
        "recommended": text(findings.verdict.recommended or ""),
    }


def _point(row: pd.Series[Any], costs: list[str]) -> Json:
    random = row["weights"] == RANDOM_INIT
    low, high = row["accuracy_low"], row["accuracy_high"]
    return {
        "label": text(row["label"].removesuffix(f" ({RANDOM_INIT})")),
        "random": random,
        # The accuracy of random weights is meaningless and not drawn.
        "accuracy": None if random else [number(v) for v in (low, row["accuracy"], high)],
        "text": "random init, not ranked"
        if random
        else f"{fmt.percent(row['accuracy'])} ({fmt.interval(low, high)})",
        "costs": {
            name: {"value": number(row[name]), "text": COSTS[name][2](row[name])}
            for name in costs
            if pd.notna(row[name])
        },
    }
