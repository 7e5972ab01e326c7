"""How stable an order is: certain where it must be, even where it must be, and quick."""

from __future__ import annotations

import time

import numpy as np
import pytest

from bench.analysis.statistics.pairwise import compare_all, stability


def test_two_that_predict_alike_share_first_place() -> None:
    found = stability(np.tile(np.arange(50) < 40, (2, 1, 1)))
    assert found.first.tolist() == [0.5, 0.5]
    assert found.beats.tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_a_backbone_correct_on_a_superset_of_images_is_never_behind() -> None:
    found = stability(np.stack([[np.arange(50) < 45], [np.arange(50) < 40]]))
    # The five images that tell them apart are all missed in (45/50)^50 = 0.5% of the draws.
    assert found.first[0] == pytest.approx(1 - 0.9**50 / 2, abs=0.002)
    assert found.beats[1, 0] == pytest.approx(1 - found.beats[0, 1])


def test_one_image_more_is_little() -> None:
    # Ten won, nine lost: the difference of the draws has mean 1 and variance 19; no tie at 0 counts
    # for either, so about Phi(1 / sqrt(19)) = 0.59.
    first, second = np.ones((2, 1, 400), bool)
    second[0, :10] = False
    first[0, 10:19] = False
    assert stability(np.stack([first, second])).beats[0, 1] == pytest.approx(0.59, abs=0.02)


def test_seeds_that_differ_make_the_order_less_sure() -> None:
    sure = np.ones((2, 3, 200), bool)
    sure[1, :, :10] = False
    shaky = np.ones((2, 3, 200), bool)
    for seed, wrong in enumerate((0, 10, 20)):
        shaky[1, seed, :wrong] = False
    assert stability(sure).beats[0, 1] > 0.99
    assert 0.7 < stability(shaky).beats[0, 1] < 0.97


def test_the_same_is_drawn_every_time() -> None:
    correct = np.random.default_rng(0).random((3, 2, 60)) < 0.9
    assert stability(correct).first.tolist() == stability(correct).first.tolist()


@pytest.mark.slow
def test_twenty_backbones_of_ten_seeds_take_less_than_a_second() -> None:
    correct = np.random.default_rng(0).random((20, 10, 500)) < 0.95
    taken = []
    for _ in range(3):  # what a busy machine adds, it does not add every time
        begun = time.process_time()
        stability(correct)
        compare_all(correct)
        taken.append(time.process_time() - begun)
    assert min(taken) < 1
