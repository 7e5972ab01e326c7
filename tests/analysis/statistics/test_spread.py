"""The two parts of a variance, on answers small enough to do by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis.statistics.intervals import difference, spread


def test_one_seed_has_the_variance_of_a_proportion() -> None:
    found = spread(np.array([[1, 1, 1, 0]]))
    assert found.mean == 0.75
    assert found.images == pytest.approx(0.75 * 0.25 / 4)
    assert (found.seeds, found.luck, found.freedom) == (0, 0, 0)


def test_seeds_that_differ_on_every_image_alike_are_all_seed() -> None:
    # One seed right everywhere, one wrong everywhere: no image differs from another. The seeds'
    # means 1 and 0 have variance 0.5, their mean half of that.
    found = spread(np.array([[1, 1, 1, 1], [0, 0, 0, 0]]))
    assert (found.images, found.seeds) == (0, 0.25)
    assert found.freedom == 1


def test_seeds_that_answer_alike_add_nothing() -> None:
    once, twice = spread(np.array([[1, 0, 1, 1]])), spread(np.array([[1, 0, 1, 1]] * 2))
    assert (twice.mean, twice.images, twice.seeds) == (once.mean, once.images, 0)


def test_the_luck_of_single_answers_counts_once() -> None:
    # The seeds' means 3/4 and 2/4 have the variance 1/32, their mean 1/64. The squares of the eight
    # answers sum to 15/8 around the mean 5/8; those of the images' means 1, 1/2, 1/2, 1/2 to 3/8,
    # of the seeds' to 1/8. What is left is luck: 11/8, over 3 degrees, 4 images and 2 seeds 11/192.
    # It is more than the images' 3/16 / 16 and the seeds' 1/64, so it explains both.
    found = spread(np.array([[1, 1, 1, 0], [1, 0, 0, 1]]))
    assert found.seeds == pytest.approx(1 / 64)
    assert found.luck == pytest.approx(11 / 192)
    assert (found.images, found.seeds_alone) == (0, 0)


def test_a_difference_is_paired_by_image() -> None:
    same = np.array([[1, 0, 1, 0]])
    assert difference(same, same).variance == 0
    # Two won, one lost, one equal: mean 1/4, mean square 3/4.
    found = difference(np.array([[1, 1, 0, 1]]), np.array([[0, 0, 1, 1]]))
    assert found.mean == 0.25
    assert found.images == pytest.approx((3 / 4 - 1 / 16) / 4)


def test_a_difference_takes_more_seeds_of_the_one_than_of_the_other() -> None:
    steady, shaky = np.ones((1, 4)), np.array([[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
    found = difference(steady, shaky)
    assert found.mean == pytest.approx(1 / 3)
    assert found.freedom == pytest.approx(2)  # all from the one that has several
