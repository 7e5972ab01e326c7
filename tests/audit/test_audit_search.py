"""The search over hashes, with hashes whose distances can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.audit.search import NEAR_BITS, NEAREST, Candidates, candidates, once

FAR = np.array([[2**64 - 1, 2**64 - 1]], np.uint64)  # 128 bits from zero


def hashed(*bits: int) -> NDArray[np.uint64]:
    """Hashes with so many bits set, the lowest first: their distances are the differences."""
    words = [((1 << n) - 1) for n in bits]
    return np.array([[w & (2**64 - 1), w >> 64] for w in words], np.uint64)


def test_pairs_up_to_the_greatest_distance_are_found_once():
    words = hashed(0, NEAR_BITS, NEAR_BITS + 1, 70)
    far = np.repeat(FAR, 4, axis=0) ^ words  # nothing mirrored is near
    found = once(candidates(np.arange(4), words, words, far))
    assert list(zip(found.query, found.target, strict=True)) == [(0, 1), (1, 2)]
    assert not found.mirrored.any()
    assert found.crowded == 0


def test_a_mirrored_copy_is_found_and_said_to_be_one():
    upright, mirrored = hashed(0, 100), hashed(90, 1)  # the second, mirrored, is 1 from the first
    found = once(candidates(np.arange(2), upright, upright, mirrored))
    assert (found.query.tolist(), found.target.tolist()) == ([0], [1])
    assert found.mirrored.tolist() == [True]


def test_only_the_nearest_are_kept_and_the_crowd_is_counted():
    words = hashed(*range(NEAREST + 2))
    far = np.repeat(FAR, len(words), axis=0) ^ words
    found = candidates(np.array([0]), words, words, far)
    assert found.target.tolist() == list(range(1, NEAREST + 1))
    assert found.crowded == 1


def test_equal_images_all_meet_in_the_first_ones():
    words = hashed(*[7] * 40)
    found = once(candidates(np.arange(40), words, words, words))
    assert set(found.query) == set(range(NEAREST))
    assert set(found.target) | set(found.query) == set(range(40))


@pytest.mark.parametrize("count", [0, 1])
def test_no_pairs_where_there_are_none(count):
    words = hashed(*range(count)).reshape(count, 2)
    found = once(candidates(np.arange(count), words, words, words))
    assert len(found) == 0
    assert isinstance(found, Candidates)
