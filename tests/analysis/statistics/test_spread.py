"""The two parts of a variance, on data small enough to do by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis.statistics.intervals import mean_variance, paired_difference


def test_one_seed_has_the_variance_of_a_proportion() -> None:
    found = mean_variance(np.array([[1, 1, 1, 0]]))
    assert found.mean == 0.75
    assert found.images == pytest.approx(0.75 * 0.25 / 4)
    assert found.seeds == found.residual == found.dof == 0


def test_seeds_that_differ_alike_on_every_image_are_all_seed_variance() -> None:
    # One seed right everywhere, one wrong everywhere: no image differs from another. The seeds'
    # means 1 and 0 have variance 0.5, their mean half of that.
    found = mean_variance(np.array([[1, 1, 1, 1], [0, 0, 0, 0]]))
    assert found.images == 0
    assert found.seeds == 0.25
    assert found.dof == 1


def test_seeds_that_predict_alike_add_nothing() -> None:
    once, twice = (
        mean_variance(np.array([[1, 0, 1, 1]])),
        mean_variance(np.array([[1, 0, 1, 1]] * 2)),
    )
    assert twice.mean == once.mean
    assert twice.images == once.images
    assert twice.seeds == 0


def test_the_residual_of_single_predictions_counts_once() -> None:
    # The seeds' means 3/4 and 2/4 have the variance 1/32, their mean 1/64. The squares of the eight
    # values sum to 15/8 around the mean 5/8; those of the images' means 1, 1/2, 1/2, 1/2 to 3/8,
    # of the seeds' to 1/8. What is left is luck: 11/8, over 3 degrees, 4 images and 2 seeds 11/192.
    # It is more than the images' 3/16 / 16 and the seeds' 1/64, so it explains both.
    found = mean_variance(np.array([[1, 1, 1, 0], [1, 0, 0, 1]]))
    assert found.seeds == pytest.approx(1 / 64)
    assert found.residual == pytest.approx(11 / 192)
    assert found.images == found.seeds_alone == 0


def test_a_difference_is_paired_by_image() -> None:
    same = np.array([[1, 0, 1, 0]])
    assert paired_difference(same, same).variance == 0
    # Two won, one lost, one equal: mean 1/4, mean square 3/4.
    found = paired_difference(np.array([[1, 1, 0, 1]]), np.array([[0, 0, 1, 1]]))
    assert found.mean == 0.25
    assert found.images == pytest.approx((3 / 4 - 1 / 16) / 4)


def test_a_difference_takes_more_seeds_of_the_one_than_of_the_other() -> None:
    steady, shaky = np.ones((1, 4)), np.array([[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
    found = paired_difference(steady, shaky)
    assert found.mean == pytest.approx(1 / 3)
    assert found.dof == pytest.approx(2)  # all from the one that has several
