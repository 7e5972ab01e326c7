"""Latency: the distribution of the timed queries of one image, for each backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.scores import Score
from bench.reports.blocks import Block, Section, metric_column, metrics_table
from bench.reports.charts import Axis, Chart, Mark, Panel, Spread, limit_note, line_layers
from bench.types import RANDOM_INIT

PLACE = 80
PERCENTILES = ("p50", "p90", "p99")
FIGURES = (
    *(metric_column(f"latency_{name}_ms", name, fmt.milliseconds) for name in PERCENTILES),
    metric_column("latency_iqr_ms", "IQR", fmt.milliseconds),
    metric_column("latency_queries", "Queries", fmt.whole),
)
NOTE = "A tick is a query. The box spans the quartiles; its line is the median."
MAX_DRAWN = 240  # ticks; of more queries, evenly spaced ones in sorted order
ABOUT = (
    "All timed queries of one image after the warm-up, from pixels to probabilities; the fastest "
    "backbone comes first. A percentile is omitted where there are too few queries for it."
)


def section(findings: Findings) -> Section | None:
    """Return a row for each timed backbone, fastest first; `None` if none was timed."""
    rows = {row["label"]: row for _, row in findings.backbones.iterrows()}
    timed = findings.timed_scores
    queries = {n: one.milliseconds for n, one in timed.items() if one.milliseconds is not None}
    if not queries:
        return None
    fastest = sorted(queries, key=lambda label: float(np.median(queries[label])))
    table = metrics_table("Latency of one image", FIGURES, (rows[label] for label in fastest))
    spreads = tuple(
        _spread(place, label, timed[label], rows[label]) for place, label in enumerate(fastest)
    )
    panel = Panel(Axis("ms", log=True), Axis(names=tuple(fastest)), spreads)
    blocks: list[Block] = [Chart("latency", "Latency of one image", (panel,), NOTE), table]
    if several := {n: one.throughput for n, one in timed.items() if len(one.throughput) > 1}:
        blocks.append(_throughput(several))
    return Section("latency", "Latency", ABOUT, blocks)


def _spread(place: int, label: str, one: Score, row: pd.Series[Any]) -> Spread:
    assert one.milliseconds is not None
    taken = np.sort(one.milliseconds)
    drawn = taken[np.linspace(0, len(taken) - 1, min(MAX_DRAWN, len(taken))).astype(int)]
    shown = {name: row[f"latency_{name}_ms"] for name in PERCENTILES}
    tip = [f"{n}: {fmt.milliseconds(v)}" for n, v in shown.items() if pd.notna(v)]
    tip.append(f"{len(taken):,} queries")
    if one.quartiles is None:
        tip.append("too few queries for quartiles")
    if not one.record.pretrained:
        tip.append(f"{RANDOM_INIT}: times are valid")
    return Spread(place, tuple(drawn.tolist()), label, tuple(tip), one.quartiles)


def _throughput(rates: Mapping[str, Mapping[int, float]]) -> Chart:
    """Draw images per second against the batch size, with a line for each backbone."""
    marks = {
        label: [
            Mark(batch, rate, label, (f"batches of {batch}", f"{fmt.significant(rate)} images/s"))
            for batch, rate in sorted(by_batch.items())
        ]
        for label, by_batch in rates.items()
    }
    batches = sorted({mark.x for found in marks.values() for mark in found})
    x = Axis("batch size", log=True, ticks=tuple(batches))
    panel = Panel(x, Axis("images/s", log=True), line_layers(marks))
    note = (
        f"The number of images in all queries, divided by their total time.{limit_note(len(marks))}"
    )
    return Chart("throughput", "Throughput by batch size", (panel,), note)
