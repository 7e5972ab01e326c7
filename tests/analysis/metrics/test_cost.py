"""Training time, parameters and size."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analysis.metrics.base import METRICS


def test_training_time_leaves_measuring_out(make_evidence: Any) -> None:
    seconds = {
        "imports": 500.0,
        "data": 1.0,
        "build": 2.0,
        "features": 4.0,
        "compile": 8.0,
        "train": 16.0,
        "measure": 100.0,
        "total": 631.0,
        "reused": 5.0,
    }
    evidence = make_evidence(seconds=seconds)
    assert METRICS["train_seconds"].compute(evidence) == pytest.approx(31.0)
    assert METRICS["total_seconds"].compute(evidence) == pytest.approx(631.0)
    assert METRICS["cache_seconds_reused"].compute(evidence) == pytest.approx(5.0)


def test_no_training_no_training_time(make_evidence: Any) -> None:
    assert METRICS["train_seconds"].compute(make_evidence(seconds={"data": 3.0})) is None


def test_size_is_in_megabytes(make_evidence: Any) -> None:
    evidence = make_evidence(parameters=2_500_000, size_bytes=10_000_000)
    assert METRICS["params"].compute(evidence) == 2_500_000
    assert METRICS["size_mb"].compute(evidence) == 10.0
