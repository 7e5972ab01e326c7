"""Who is wrong about what, in figures that a reader can check by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import Net, make_run

from bench.metrics.classification import Guesses
from bench.records import load_run
from bench.report.findings import find
from bench.report.mistakes import mistakes, shared, shown


def guesses(labels: list[int], *answers: tuple[int, float]) -> Guesses:
    predicted, confidence = zip(*answers, strict=True)
    return Guesses(np.array(labels), np.array(predicted), np.array(confidence))


def brief(found: Any) -> list[tuple[int, float]]:
    return [(one.image, round(one.confidence, 3)) for one in found]


def test_the_most_confident_mistake_comes_first() -> None:
    one = guesses([0, 0, 1, 1], (1, 0.6), (0, 0.9), (0, 0.95), (1, 0.8))
    found = mistakes([one])
    assert brief(found) == [(2, 0.95), (0, 0.6)]
    assert (found[0].true, found[0].predicted, found[0].wrong_seeds, found[0].seeds) == (1, 0, 1, 1)
    assert mistakes([]) == ()


def test_seeds_vote_and_a_seed_that_is_right_counts_nothing() -> None:
    labels = [0, 0, 0]
    seeds = [
        guesses(labels, (1, 0.9), (1, 0.6), (2, 0.5)),
        guesses(labels, (1, 0.9), (1, 0.6), (1, 0.8)),
        guesses(labels, (0, 0.9), (0, 0.9), (2, 0.7)),
    ]
    found = mistakes(seeds)
    # Image 2: wrong in all three, for class 2 with 0.5 + 0.7, for class 1 with 0.8.
    assert brief(found) == [(2, 0.667), (0, 0.6), (1, 0.4)]
    assert [one.predicted for one in found] == [2, 1, 1]
    assert [one.wrong_seeds for one in found] == [3, 2, 2]
    # Half of the seeds is not most of them.
    assert mistakes([seeds[0], guesses(labels, (0, 1.0), (0, 1.0), (0, 1.0))]) == ()


def test_what_all_get_wrong_is_ranked_by_the_sum_of_confidences() -> None:
    labels = [0, 1, 0, 1]
    by_backbone = {
        "a": mistakes([guesses(labels, (1, 0.7), (0, 0.9), (1, 0.99), (1, 0.9))]),
        "b": mistakes([guesses(labels, (1, 0.8), (0, 0.9), (0, 0.99), (1, 0.9))]),
    }
    found = shared(by_backbone)
    assert brief(found) == [(1, 1.8), (0, 1.5)]  # image 2 is wrong for `a` alone
    assert (found[0].true, found[0].predicted) == (1, 0)
    assert found[0].by_backbone["b"].confidence == 0.9
    assert shown(by_backbone) == (0, 1, 2)


def test_one_backbone_shares_nothing() -> None:
    assert shared({"a": mistakes([guesses([0], (1, 0.9))])}) == ()
    assert shared({}) == ()


@pytest.mark.parametrize("source", ["imagenet", "random init"])
def test_random_init_accuses_no_image(tmp_path: Path, source: str) -> None:
    nets = [Net("one", 0.5), Net("two", 0.4), Net("three", 0.5, source=source)]
    found = find(load_run(make_run(tmp_path, nets, seeds=(0, 1, 2))))
    assert ("three" in found.mistakes) is (source == "imagenet")
    assert set(found.mistakes) >= {"one", "two"}
    for each in found.mistakes.values():
        assert each
        assert all(mistake.seeds == 3 for mistake in each)
