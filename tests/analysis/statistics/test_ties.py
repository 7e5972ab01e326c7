"""Tie letters: two backbones share one exactly if they do not differ."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bench.analysis.statistics.pairwise import tie_groups, tie_letters


@pytest.mark.parametrize(
    ("count", "different", "expected"),
    [
        (0, [], []),
        (1, [], ["a"]),
        (3, [], ["a", "a", "a"]),
        (3, [(0, 1), (0, 2), (1, 2)], ["a", "b", "c"]),
        (3, [(0, 2)], ["a", "ab", "b"]),  # the middle ties with both, the ends differ
        (4, [(0, 1), (2, 3)], ["ab", "cd", "ac", "bd"]),
    ],
)
def test_small_cases(count: int, different: list[tuple[int, int]], expected: list[str]) -> None:
    assert tie_letters(count, tie_groups(count, different)) == expected


@pytest.mark.parametrize("seed", range(20))
def test_two_share_a_letter_exactly_where_they_do_not_differ(seed: int) -> None:
    random = np.random.default_rng(seed)
    pairs = list(combinations(range(9), 2))
    different = [pair for pair in pairs if random.random() < 0.4]
    marks = tie_letters(9, tie_groups(9, different))
    for a, b in pairs:
        assert bool(set(marks[a]) & set(marks[b])) == ((a, b) not in different)


def test_there_are_more_groups_than_letters() -> None:
    marks = tie_letters(30, tie_groups(30, combinations(range(30), 2)))
    assert marks[0] == "a"
    assert marks[25:27] == ["z", "a1"]
