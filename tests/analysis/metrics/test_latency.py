"""Percentiles and throughput from raw durations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.analysis.metrics.base import METRICS
from bench.analysis.statistics import SAMPLES_FOR_PERCENTILE
from bench.types import RuntimeResult

KERAS = RuntimeResult("keras", batches=(1, 8))


def test_median_and_throughput_by_hand(make_evidence: Any) -> None:
    evidence = make_evidence(
        {
            "latency_keras_b1": [0.010] * 5 + [0.020] + [0.030] * 5,
            "latency_keras_b8": [0.05, 0.15],
        },
        runtimes=(KERAS,),
    )
    assert METRICS["latency_p50_ms"].compute(evidence) == pytest.approx(20.0)
    assert METRICS["latency_queries"].compute(evidence) == 11
    # Two queries of 8 images in 0.2 s, more than one image in 20 ms each.
    assert METRICS["throughput_images_per_second"].compute(evidence) == pytest.approx(80.0)
    assert METRICS["throughput_batch"].compute(evidence) == 8


@pytest.mark.parametrize(
    ("queries", "p90", "p99"),
    [(63, None, None), (64, 90.0, None), (661, 90.0, None), (662, 90.0, 99.0)],
)
def test_a_percentile_needs_enough_queries(
    make_evidence: Any, queries: int, p90: float | None, p99: float | None
) -> None:
    # Evenly spread over 0..100 ms, so the n-th percentile is n ms.
    evidence = make_evidence({"latency_keras_b1": np.linspace(0, 0.1, queries)}, runtimes=(KERAS,))
    found = [METRICS[f"latency_p{p}_ms"].compute(evidence) for p in (50, 90, 99)]
    assert found == [pytest.approx(50.0), p90 and pytest.approx(p90), p99 and pytest.approx(p99)]


@pytest.mark.parametrize(("queries", "p50"), [(1, None), (10, None), (11, 50.0)])
def test_so_does_the_median(make_evidence: Any, queries: int, p50: float | None) -> None:
    evidence = make_evidence({"latency_keras_b1": np.linspace(0, 0.1, queries)}, runtimes=(KERAS,))
    found = METRICS["latency_p50_ms"].compute(evidence)
    assert found == (p50 and pytest.approx(p50))


@pytest.mark.parametrize(("percent", "least"), SAMPLES_FOR_PERCENTILE.items())
def test_all_percentiles_follow_one_rule(percent: int, least: int) -> None:
    """At most one of so many samples beyond the percentile: that happens by chance in 1%."""

    def by_chance(samples: int) -> float:
        below = percent / 100
        return float(below**samples + samples * (1 - below) * below ** (samples - 1))

    assert by_chance(least) <= 0.01 < by_chance(least - 1)


def test_the_first_runtime_counts_and_has_no_substitute(make_evidence: Any) -> None:
    broken = RuntimeResult("keras", status="failed", reason="out of memory")
    other = RuntimeResult("litert", batches=(1,))
    evidence = make_evidence({"latency_litert_b1": [0.01]}, runtimes=(broken, other))
    assert METRICS["latency_p50_ms"].compute(evidence) is None
    assert METRICS["throughput_images_per_second"].compute(evidence) is None
