"""The change of a median latency from one process to another."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis.statistics.timing import ProcessTimings, median_change_interval, speed_ratio

STEADY = (0.05, 0.05, 0.05)


def constant(seconds: float, calibration: tuple[float, ...] = STEADY) -> ProcessTimings:
    return ProcessTimings(np.full(64, seconds), calibration)


def test_without_variance_the_interval_is_the_difference() -> None:
    found = median_change_interval(constant(0.01), constant(0.012))
    assert found == pytest.approx((0.002, 0.002))


def test_the_rounds_spread_by_hand() -> None:
    # Rounds of 10 and 12.1 ms in turn: logarithms log(1.1) to either side of the middle, and a
    # variance of 4/3 of its square, with 3 degrees of freedom (Student's 97.5% point: 3.182446).
    rounds = np.repeat([0.010, 0.0121, 0.010, 0.0121], 16)
    low, high = median_change_interval(ProcessTimings(rounds, STEADY), constant(0.011)) or (
        0.0,
        0.0,
    )
    median = (0.010 + 0.0121) / 2
    middle, half = np.log(0.011 / median), 3.182446 * (4 / 3) ** 0.5 * np.log(1.1)
    assert low == pytest.approx(median * (np.exp(middle - half) - 1), rel=1e-5)
    assert high == pytest.approx(median * (np.exp(middle + half) - 1), rel=1e-5)


def test_a_change_of_the_machines_speed_widens_one_side() -> None:
    found = median_change_interval(constant(0.01), constant(0.012, (0.06, 0.06)))
    assert found == pytest.approx((0.0, 0.002))
    found = median_change_interval(constant(0.01), constant(0.012, (0.04, 0.04)))
    assert found == pytest.approx((0.002, 0.005))


@pytest.mark.parametrize(
    "too_few",
    [ProcessTimings(np.full(7, 0.01), STEADY), constant(0.01, (0.05,)), constant(0.01, ())],
)
def test_too_few_measurements_give_no_interval(too_few: ProcessTimings) -> None:
    assert median_change_interval(too_few, constant(0.01)) is None
    assert median_change_interval(constant(0.01), too_few) is None


def test_equal_processes_are_rarely_found_to_differ() -> None:
    """Each process, round and query has its own effect, the process' as large as a round's."""
    random = np.random.default_rng(0)

    def process(seconds: float) -> ProcessTimings:
        effect = random.normal(0, 0.05)
        rounds = np.repeat(random.normal(effect, 0.05, 4), 50)
        queries = seconds * np.exp(rounds + random.normal(0, 0.1, 200))
        return ProcessTimings(queries, tuple(0.05 * np.exp(random.normal(0, 0.01, 5))))

    def found(seconds: float) -> float:
        ends = [median_change_interval(process(0.01), process(seconds)) for _ in range(400)]
        return float(np.mean([low > 0 or high < 0 for low, high in filter(None, ends)]))

    assert found(0.01) < 0.05
    assert found(0.02) > 0.95


def test_a_ratio_is_of_rounds_that_ran_next_to_each_other() -> None:
    # Both are slower in the second and fourth round: the ratio is 2 in each, so it is certain.
    fast = np.repeat([0.010, 0.015, 0.010, 0.015], 16)
    assert speed_ratio(2 * fast, fast) == pytest.approx((2.0, 2.0, 2.0))
    # Ratios of 2 and 2 * 1.21 in turn: logarithms log(1.1) to either side of log(2.2), a standard
    # deviation of sqrt(4 / 3) of that, over the square root of four rounds.
    slow = np.repeat([0.020, 0.0242, 0.020, 0.0242], 16)
    half = 3.182446 * (4 / 3) ** 0.5 * np.log(1.1) / 2
    found = speed_ratio(slow, np.full(64, 0.010))
    assert found == pytest.approx((2.2, 2.2 * np.exp(-half), 2.2 * np.exp(half)), rel=1e-6)


def test_a_few_queries_give_no_ratio() -> None:
    assert speed_ratio(np.full(7, 0.02), np.full(64, 0.01)) is None
