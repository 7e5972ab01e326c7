"""The two parts of a variance, on answers small enough to do by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.statistics.spread import difference, spread


def test_one_seed_has_the_variance_of_a_proportion() -> None:
    found = spread(np.array([[1, 1, 1, 0]]))
    assert found.mean == 0.75
    assert found.images == pytest.approx(0.75 * 0.25 / 4)
    assert found.seeds == 0
    assert np.isinf(found.freedom)


def test_seeds_that_differ_on_every_image_alike_are_all_seed() -> None:
    # One seed right everywhere, one wrong everywhere: no image differs from another. The seeds'
    # means 1 and 0 have variance 0.5, their mean half of that.
    found = spread(np.array([[1, 1, 1, 1], [0, 0, 0, 0]]))
    assert (found.images, found.seeds) == (0, 0.25)
    assert found.freedom == 1


def test_seeds_that_answer_alike_add_nothing() -> None:
    once, twice = spread(np.array([[1, 0, 1, 1]])), spread(np.array([[1, 0, 1, 1]] * 2))
    assert (twice.mean, twice.images, twice.seeds) == (once.mean, once.images, 0)
    assert np.isinf(twice.freedom)


def test_what_single_answers_explain_is_taken_off_the_seeds() -> None:
    # Means 3/4 and 2/4: variance 1/32. Of the eight answers nothing is common to an image in both
    # seeds but the first: the rest's sum of squares is 15/8 - 7/8 - 1/8 = 7/8, over 3 degrees and
    # 4 images 7/96, more than the 1/32. So nothing is left for the seeds.
    found = spread(np.array([[1, 1, 1, 0], [1, 0, 0, 1]]))
    assert found.seeds == 0
    assert found.seeds_with_noise == pytest.approx(1 / 64)


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
    assert found.seeds_freedom == pytest.approx(2)  # all from the one that has several
