"""How fast the trained model answers, from the raw durations of its queries.

The figures are those of the first runtime that the record names: the same one for every backbone of
a run, so a backbone on which it failed has none rather than another's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import METRICS, Metric
from bench.records import Evidence
from bench.statistics import SAMPLES_FOR_PERCENTILE


def durations(evidence: Evidence, batch: int) -> NDArray[np.float64] | None:
    """Seconds of every timed query of that batch size, warm-up apart."""
    runtimes = evidence.record.runtimes
    if not runtimes or runtimes[0].status != "ok":
        return None
    found = evidence.arrays.get(f"latency_{runtimes[0].name}_b{batch}")
    return None if found is None or not len(found) else found.astype(np.float64)


def largest_batch(evidence: Evidence) -> int | None:
    """The batch size at which throughput is measured: the largest that was timed."""
    timed = [b for b in _batches(evidence) if b > 1 and durations(evidence, b) is not None]
    return max(timed, default=None)


def throughput(evidence: Evidence) -> float | None:
    """Images per second: all images of all queries, over all the time they took."""
    batch = largest_batch(evidence)
    if batch is None:
        return None
    taken = durations(evidence, batch)
    return None if taken is None else batch * len(taken) / float(taken.sum())


def _batches(evidence: Evidence) -> tuple[int, ...]:
    runtimes = evidence.record.runtimes
    return runtimes[0].batches if runtimes else ()


def _percentile(percent: int) -> Callable[[Evidence], float | None]:
    def compute(evidence: Evidence) -> float | None:
        taken = durations(evidence, 1)
        if taken is None or len(taken) < SAMPLES_FOR_PERCENTILE[percent]:
            return None
        return 1000 * float(np.percentile(taken, percent))

    return compute


def _queries(evidence: Evidence) -> float | None:
    taken = durations(evidence, 1)
    return None if taken is None else len(taken)


for _metric in (
    Metric("latency_p50_ms", "median latency, one image", "ms", "lower", _percentile(50)),
    Metric("latency_p90_ms", "90th percentile latency, one image", "ms", "lower", _percentile(90)),
    Metric("latency_p99_ms", "99th percentile latency, one image", "ms", "lower", _percentile(99)),
    Metric("latency_queries", "timed queries, one image", "queries", "neither", _queries),
    Metric("throughput_images_per_second", "throughput", "images/s", "higher", throughput),
    Metric("throughput_batch", "batch size of the throughput", "images", "neither", largest_batch),
):
    METRICS.add(_metric)
