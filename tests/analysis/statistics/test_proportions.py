"""Intervals against published worked examples and an independent implementation."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from bench.analysis.statistics import wilson


def test_none_correct_does_not_mean_an_accuracy_of_zero() -> None:
    low, high = wilson(0, 10)
    assert low == 0.0
    assert high == pytest.approx(1.96**2 / (10 + 1.96**2), abs=1e-4)  # 0.2775


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (8, 10), (985, 1000), (1000, 1000)])
def test_agrees_with_scipy(k: int, n: int) -> None:
    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k, n) == pytest.approx((interval.low, interval.high), abs=1e-9)


@pytest.mark.parametrize(("k", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="needs 0 <= k <= n"):
        wilson(k, n)
