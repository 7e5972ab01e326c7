"""Tests of pairs against worked examples, SciPy, and every exchange counted one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from calibration.inference import called_different
from scipy.stats import binom, binomtest

from bench.analysis.statistics.intervals import Correct
from bench.analysis.statistics.pairwise import MIN_P, compare_all, holm, paired_p_value


def discordant(won: int, lost: int, images: int = 100) -> tuple[Correct, Correct]:
    """Two of one seed: the first alone is right on `won` images, the second alone on `lost`."""
    first, second = np.ones((2, 1, images), bool)
    second[0, :won] = False
    first[0, won : won + lost] = False
    return first, second


def test_ten_against_two() -> None:
    # Of 12 coins fewer than 2 heads, and half of exactly 2; twice: 2 * (1 + 12 + 66 / 2) / 4096.
    assert paired_p_value(*discordant(10, 2)) == pytest.approx(92 / 4096)


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (5, 5), (20, 8), (0, 30)])
def test_one_seed_is_mcnemars_mid_p_test(won: int, lost: int) -> None:
    """SciPy's exact p-value less the chance of exactly what was seen."""
    exact = binomtest(won, won + lost).pvalue if won + lost else 1.0
    expected = exact - binom.pmf(won, won + lost, 0.5) if won != lost else 1.0
    assert paired_p_value(*discordant(won, lost)) == pytest.approx(expected)
    assert paired_p_value(*discordant(lost, won)) == pytest.approx(expected)


def test_of_several_seeds_every_exchange_of_an_image_is_counted() -> None:
    # Three seeds that agree on average, so that none has an advantage; eight images.
    first = np.array(
        [[1, 1, 0, 1, 1, 0, 1, 1], [1, 0, 1, 1, 1, 1, 0, 1], [0, 1, 1, 1, 1, 1, 1, 0]], bool
    )
    second = np.array(
        [[0, 1, 0, 0, 1, 0, 1, 0], [1, 0, 0, 1, 0, 0, 0, 1], [0, 0, 1, 0, 0, 1, 0, 1]], bool
    )
    won = first.sum(axis=0).astype(int) - second.sum(axis=0)
    sums = [abs(np.dot(signs, won)) for signs in product((-1, 1), repeat=8)]
    seen = abs(won.sum())
    expected = np.mean([(s > seen) + 0.5 * (s == seen) for s in sums])
    assert paired_p_value(first, second) == pytest.approx(float(expected))


def test_a_difference_that_a_seed_may_make_is_not_one_of_backbones() -> None:
    # 5 points ahead on average, the same images; but one backbone's seeds lie 10 points apart.
    steady = np.ones((3, 200), bool)
    steady[:, :20] = False
    shaky = np.ones((3, 200), bool)
    for seed, wrong in enumerate((10, 30, 50)):
        shaky[seed, :wrong] = False
    calm = np.ones((3, 200), bool)
    calm[:, :30] = False
    assert paired_p_value(steady, calm) < 0.01
    assert paired_p_value(steady, shaky) > 0.3


def test_no_p_value_is_zero() -> None:
    # All of 300 images: 2 ** -299 cannot be computed from sums of frequencies.
    assert paired_p_value(*discordant(300, 0, 300)) == MIN_P > 0


def test_holm_by_hand() -> None:
    # The least times 4, the next times 3, then 2 and 1; never less than one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_all_pairs_are_compared_once() -> None:
    correct = np.stack([*discordant(10, 2), discordant(0, 40)[0]])
    found = compare_all(correct)
    assert [(c.first, c.second) for c in found] == [(0, 1), (0, 2), (1, 2)]
    assert found[0].difference == pytest.approx(0.08)
    assert found[1].differ
    assert all(c.low <= c.difference <= c.high for c in found)
    assert all(c.p_holm >= c.p for c in found)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_equals_rarely_differ_significantly(seeds: int) -> None:
    """The benchmark does this for longer: at most 5% of the families."""
    assert called_different(150, seeds, 200) <= 0.05
