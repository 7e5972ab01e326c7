"""Intervals against published ones, against limits that must hold, and against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from calibration.inference import change_coverage, coverage

from bench.analysis.statistics import intervals, wilson
from bench.analysis.statistics.intervals import mean_variance


@pytest.mark.parametrize("right", [0, 1, 70, 99, 100])
def test_one_seed_gives_wilsons_interval(right: int) -> None:
    correct = (np.arange(100) < right)[None]
    assert intervals.accuracy_interval(correct) == pytest.approx(wilson(right, 100))


def test_seeds_that_agree_are_worth_one() -> None:
    correct = np.tile(np.arange(100) < 90, (3, 1))
    assert intervals.accuracy_interval(correct) == pytest.approx(wilson(90, 100))


def test_seeds_that_err_on_images_of_their_own_are_worth_more() -> None:
    # Each seed is wrong on ten images, none of them twice: worth nearly 300 independent images.
    correct = np.ones((3, 100), bool)
    for seed in range(3):
        correct[seed, 10 * seed : 10 * (seed + 1)] = False
    low, high = intervals.accuracy_interval(correct)
    assert high - low < np.diff(wilson(90, 100))[0]


def test_seeds_far_apart_give_a_wide_interval() -> None:
    correct = np.stack([np.arange(1000) < 900, np.arange(1000) < 960])
    low, high = intervals.accuracy_interval(correct)
    # Means 90 and 96%: Student's quantile of one degree of freedom is 12.7 times 3 points.
    assert low < 0.7
    assert high > 0.97


def test_the_quantile_goes_from_the_normal_to_students() -> None:
    # One seed right everywhere and one wrong everywhere: all is seeds, with one degree of freedom,
    # so 1/2 ± 12.706 / 2. Seeds that agree: all is images, so 3/4 ± 1.96 sqrt(3/16 / 4).
    low, high = intervals.student_interval(mean_variance(np.array([[1, 1], [0, 0]])))
    assert (low, high) == pytest.approx((0.5 - 6.3531, 0.5 + 6.3531), abs=1e-4)
    low, high = intervals.student_interval(mean_variance(np.array([[1, 0, 1, 1]] * 2)))
    assert (low, high) == pytest.approx((0.75 - 0.4243, 0.75 + 0.4243), abs=1e-4)


def test_a_batch_gives_the_same_intervals_as_one_at_a_time() -> None:
    correct = np.random.default_rng(0).random((4, 3, 50)) < 0.9
    lows, _ = intervals.accuracy_interval(correct)
    assert lows.tolist() == [float(intervals.accuracy_interval(one)[0]) for one in correct]


def test_an_observed_difference_of_zero_has_an_interval() -> None:
    # Of 102, half a one won and half a one lost: 0 ± 1.96 sqrt((1/102) / 102) = 0.0192.
    low, high = intervals.difference_interval(mean_variance(np.zeros((1, 100))), 100)
    assert (low, high) == pytest.approx((-0.0192, 0.0192), abs=1e-4)


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_intervals_hold_the_simulated_truth(seeds: int) -> None:
    """The benchmark does this for longer: 93 to 97% over 2,000 simulations."""
    accuracy, apart = coverage(2000, seeds, 200)
    assert 0.93 <= accuracy <= 0.97
    assert 0.93 <= apart <= 0.97
    assert 0.93 <= change_coverage(2000, seeds, 200) <= 0.97
