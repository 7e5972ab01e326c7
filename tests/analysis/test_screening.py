"""What a round of screening keeps: figures that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.analysis.screening import (
    Round,
    RoundEvidence,
    ScreenedBackbone,
    count_affordable,
    rank_correlation,
)


def correct(*wrong: int, images: int = 100) -> NDArray[np.bool_]:
    """Return correct predictions (backbones, images), each wrong on that many last images."""
    return np.array([np.arange(images) < images - count for count in wrong])


def test_a_backbone_is_behind_by_its_own_mistakes_with_their_interval() -> None:
    gap, low, high = RoundEvidence.from_correct(correct(0, 10)).gaps_to_best()
    assert gap == pytest.approx([0, 0.1])
    # 10 of 100 won, and half of one each way: 1.96 * sqrt((11 / 102 - (10 / 102)**2) / 102).
    half = 1.96 * np.sqrt((11 / 102 - (10 / 102) ** 2) / 102)
    assert (low[1], high[1]) == pytest.approx((10 / 102 - half, 10 / 102 + half), abs=1e-4)
    assert (low[0], high[0]) == (0, 0)


def test_copies_count_once() -> None:
    once, groups = correct(0, 10, images=100), np.repeat(np.arange(100), 2)
    twice = np.repeat(once, 2, axis=1)
    for alone, copied in zip(
        RoundEvidence.from_correct(once).gaps_to_best(),
        RoundEvidence.from_correct(twice, groups).gaps_to_best(),
        strict=True,
    ):
        assert copied == pytest.approx(alone)
    assert (
        RoundEvidence.from_correct(twice).gaps_to_best()[1][1]
        > RoundEvidence.from_correct(once).gaps_to_best()[1][1]
    )


@pytest.mark.parametrize(
    ("wrong", "kept"),
    [
        ((0, 1, 2, 3, 4, 5, 5, 30), (True,) * 7 + (False,)),  # 5 behind may be 2 behind
        ((0, 20, 21, 22, 23, 24, 25), (True,) * 6 + (False,)),  # never fewer than six
        ((0, 20, 21, 22, 23, 24, 24, 30), (True,) * 7 + (False,)),  # ties with the sixth stay
        ((0, 50), (True, True)),
        ((7,), (True,)),
    ],
)
def test_the_rule(wrong: tuple[int, ...], kept: tuple[bool, ...]) -> None:
    assert tuple(RoundEvidence.from_correct(correct(*wrong)).is_kept()) == kept


def test_the_chance_that_the_best_was_dropped() -> None:
    alike = RoundEvidence.from_correct(correct(10, 10))
    assert alike.p_best_dropped(np.array([False, True]), 0.02) == pytest.approx(0.5, abs=0.02)
    assert alike.p_best_dropped(np.array([False, False]), 0.02) == 0
    assert alike.p_best_dropped(np.array([True, True]), 0.02) == 1
    clear = RoundEvidence.from_correct(correct(0, 1, 2, 3, 4, 50, images=1000))
    assert clear.p_best_dropped(np.array([False] * 5 + [True]), 0.01) < 0.001
    # A larger bias of the round: what looks worse may be the best.
    near = RoundEvidence.from_correct(correct(0, 20, images=1000))
    second = np.array([False, True])
    assert near.p_best_dropped(second, 0.005) < near.p_best_dropped(second, 0.03) < 0.5


def test_how_many_a_budget_allows() -> None:
    assert count_affordable([10, 20, 30, 40], 60) == 3
    assert count_affordable([10, 20, 30, 40], 59) == 2
    assert count_affordable([10, 20, 30], 0) == 2  # never the first alone
    assert count_affordable([10], 0) == 1


def test_the_rank_correlation_of_a_round_with_the_final() -> None:
    shown = {"a": 0.9, "b": 0.8, "c": 0.7, "dropped": 0.1}
    found = tuple(
        ScreenedBackbone(name, True, 1.0, accuracy=share) for name, share in shown.items()
    )
    one = Round("probes", 100, (*found, ScreenedBackbone("failed", True, 1.0, "failed", "why")))
    assert rank_correlation(one, {"a": 0.99, "b": 0.98, "c": 0.97, "failed": 0.5}) == 1
    assert rank_correlation(one, {"a": 0.97, "b": 0.98, "c": 0.99}) == -1
    assert rank_correlation(one, {"a": 0.98, "b": 0.99, "c": 0.97}) == pytest.approx(0.5)
    assert rank_correlation(one, {"a": 0.98, "b": 0.99}) is None
    assert rank_correlation(one, {"a": 0.9, "b": 0.9, "c": 0.9}) is None
