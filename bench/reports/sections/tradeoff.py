"""Accuracy against each cost: a point for each backbone, and the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.cost import ParetoPlace, pareto_places
from bench.analysis.findings import Findings
from bench.analysis.format import Show
from bench.analysis.metrics.base import METRICS
from bench.analysis.scores import without_random_init
from bench.analysis.table import is_random_init
from bench.reports.blocks import Section
from bench.reports.charts import Axis, Chart, Layer, Line, Mark, Panel, Points
from bench.types import RANDOM_INIT

PLACE = 12
TRAINING = "train_seconds"
COSTS: tuple[tuple[str, str, Show], ...] = (
    ("latency_p50_ms", "Latency", fmt.milliseconds),
    ("throughput_images_per_second", "Throughput", fmt.significant),
    ("params", "Parameters", fmt.count),
    ("gflops", "Arithmetic", fmt.significant),
    ("size_mb", "Size", fmt.megabytes),
    ("inference_memory_mb", "Memory", fmt.megabytes),
    ("energy_j_per_1000", "Energy", fmt.significant),
    (TRAINING, "Training time", fmt.duration),
)
NOT_RANKED = f"{RANDOM_INIT}, not ranked"
APART: Literal["apart"] = "apart"
KINDS: Mapping[ParetoPlace | Literal["apart"], tuple[str, int | None]] = {
    "front": ("on the Pareto front: no other is as accurate at the same cost or less", 0),
    "undecided": (
        "another costs no more and is at least as accurate, but not significantly more",
        0,
    ),
    "dominated": (
        "another costs no more and is more accurate, by the 95% interval of the difference",
        None,
    ),
    APART: ("trained on different machines: not ranked by this cost", None),
}
Rows = Mapping[str, "pd.Series[Any]"]


def section(findings: Findings) -> Section | None:
    """Return a chart for each cost that was measured."""
    table = findings.backbones
    table = table[table["accuracy"].notna() | is_random_init(table)]
    rows = {row["label"]: row for _, row in table.iterrows()}
    panels = tuple(_panel(findings, rows, *cost) for cost in COSTS if table[cost[0]].notna().any())
    if not panels:
        return None
    chart = Chart("accuracy_cost", "Accuracy against cost", panels, choice="Cost")
    return Section("tradeoff", "Accuracy against cost", _about(findings), [chart])


def _about(findings: Findings) -> str:
    verdict = findings.verdict
    if not findings.predictions:
        return "No pretrained backbone finished, so there are only costs, on a logarithmic scale."
    over = " and seeds" if len(verdict.seeds) > 1 else ""
    about = (
        f"Bars are 95% intervals of the test accuracy, over test images{over}. Costs are on a "
        f"logarithmic scale."
    )
    if verdict.recommended and len(verdict.standings) > 1:
        about += f" Recommended: {verdict.recommended}."
    return about


def _panel(findings: Findings, rows: Rows, name: str, title: str, show: Show) -> Panel:
    """Draw the ranked backbones and the Pareto front; random init, with its cost, in a strip."""
    metric = METRICS[name]
    known = {label: row for label, row in rows.items() if pd.notna(row[name])}
    random = {label: row for label, row in known.items() if row["weights"] == RANDOM_INIT}
    ranked = {label: row for label, row in known.items() if label not in random}
    sign = -1 if metric.better == "higher" else 1
    places = (
        dict.fromkeys(ranked, APART)
        if name == TRAINING and findings.environment_differences
        else pareto_places(
            {label: sign * float(row[name]) for label, row in ranked.items()},
            {label: float(row["accuracy"]) for label, row in ranked.items()},
            findings.verdict.ahead,
        )
    )
    layers: list[Layer] = []
    if front := [ranked[label] for label, place in places.items() if place == "front"]:
        costs = [float(row[name]) for row in known.values()]
        x = [*(float(row[name]) for row in front), max(costs) if sign > 0 else min(costs)]
        y = [float(row["accuracy"]) for row in front]
        layers.append(Line(x, [*y, y[-1]], dashed=True, steps=True))
    for kind, (meaning, colour) in KINDS.items():
        marks = tuple(
            _mark(label, ranked[label], name, f"{title}: {show(ranked[label][name])}")
            for label, place in places.items()
            if place == kind
        )
        hollow = kind != "front"
        layers.append(Points(marks, meaning, colour, hollow=hollow, labelled=True))
    strip = (
        Mark(
            float(row[name]),
            None,
            without_random_init(label),
            (NOT_RANKED, f"{title}: {show(row[name])}"),
            about=label,
        )
        for label, row in random.items()
    )
    layers.append(Points(tuple(strip), colour=None, hollow=True, labelled=True))
    missing = [label for label in rows if label not in known]
    unit = f", {metric.unit}" if metric.unit not in ("", metric.title) else ""
    return Panel(
        Axis(f"{metric.title}{unit}", log=True),
        Axis("test accuracy", percent=True),
        tuple(layer for layer in layers if not isinstance(layer, Points) or layer.marks),
        title,
        note=f"Not measured for {', '.join(missing)}." if missing else "",
        strip=NOT_RANKED,
    )


def _mark(label: str, row: pd.Series[Any], name: str, cost: str) -> Mark:
    ends = float(row["accuracy_low"]), float(row["accuracy_high"])
    accuracy = fmt.with_interval(row["accuracy"], *ends)
    return Mark(float(row[name]), float(row["accuracy"]), label, (accuracy, cost), ends)
