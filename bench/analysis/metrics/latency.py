"""Latency and throughput of the trained model, from the raw durations of its queries.

Without a runtime's name, all figures are those of the first runtime in the record, the same for
every backbone of a run: a backbone for which it failed has no figures, never those of another
runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.analysis import format as fmt
from bench.analysis.metrics.base import METRICS, Metric, MetricColumn, compute_from
from bench.analysis.statistics import SAMPLES_FOR_PERCENTILE
from bench.storage.records import Evidence
from bench.types import RuntimeResult


def durations(
    evidence: Evidence, batch: int, runtime: str | None = None
) -> NDArray[np.float64] | None:
    """Return the seconds of every timed query of this batch size, without warm-up."""
    result = timed_runtime(evidence, runtime)
    if result is None or result.status != "ok":
        return None
    found = evidence.arrays.get(f"latency_{result.name}_b{batch}")
    return None if found is None or not len(found) else found.astype(np.float64)


def timed_runtime(evidence: Evidence, name: str | None = None) -> RuntimeResult | None:
    """Return the result of a runtime by name; without a name, of the first, even if it failed."""
    runtimes = evidence.record.runtimes
    return next((r for r in runtimes if name in (None, r.name)), None)


def throughput_by_batch(evidence: Evidence, runtime: str | None = None) -> dict[int, float]:
    """Return images per second by batch size: the images of all queries over their total time."""
    result = timed_runtime(evidence, runtime)
    found = {}
    for batch in result.batches if result is not None else ():
        taken = durations(evidence, batch, runtime)
        if taken is not None:
            found[batch] = batch * len(taken) / float(taken.sum())
    return found


def throughput(evidence: Evidence, runtime: str | None = None) -> float | None:
    """Return the images per second at the best batch size."""
    return max(throughput_by_batch(evidence, runtime).values(), default=None)


def best_batch(evidence: Evidence) -> int | None:
    """Return the batch size with the best throughput."""
    found = throughput_by_batch(evidence)
    return max(found, key=lambda batch: found[batch], default=None)


def percentile(evidence: Evidence, percent: int, runtime: str | None = None) -> float | None:
    """Return a latency percentile of one image in ms; `None` with too few queries for it."""
    taken = durations(evidence, 1, runtime)
    if taken is None or len(taken) < SAMPLES_FOR_PERCENTILE[percent]:
        return None
    return 1000 * float(np.percentile(taken, percent))


def _percentile(percent: int) -> Callable[[Evidence], float | None]:
    return lambda evidence: percentile(evidence, percent)


def _spread(evidence: Evidence) -> float | None:
    taken = durations(evidence, 1)
    if taken is None or len(taken) < SAMPLES_FOR_PERCENTILE[90]:
        return None
    low, high = np.percentile(taken, [25, 75])
    return 1000 * float(high - low)


_queries = compute_from(lambda evidence: durations(evidence, 1), len)
# Latency is timed once for all seeds of a backbone, so it has no spread over them.
_COLUMNS = {
    "latency_p50_ms": MetricColumn("p50", fmt.milliseconds, 90),
    "latency_p90_ms": MetricColumn("p90", fmt.milliseconds, 40),
    "throughput_images_per_second": MetricColumn("Images/s", fmt.significant, 35),
}
for _metric in (
    Metric("latency_p50_ms", "median latency, one image", "ms", "lower", _percentile(50)),
    Metric("latency_p90_ms", "90th percentile latency, one image", "ms", "lower", _percentile(90)),
    Metric("latency_p95_ms", "95th percentile latency, one image", "ms", "lower", _percentile(95)),
    Metric("latency_p99_ms", "99th percentile latency, one image", "ms", "lower", _percentile(99)),
    Metric("latency_iqr_ms", "interquartile range of the latency", "ms", "lower", _spread),
    Metric("latency_queries", "timed queries, one image", "queries", "neither", _queries),
    Metric("throughput_images_per_second", "best throughput", "images/s", "higher", throughput),
    Metric("throughput_batch", "batch size of the throughput", "images", "neither", best_batch),
):
    METRICS.add(replace(_metric, kind="inference", column=_COLUMNS.get(_metric.name)))
