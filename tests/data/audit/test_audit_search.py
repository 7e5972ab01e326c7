"""The search over hashes, with hashes whose distances can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.data.audit.search import (
    NEAR_BITS,
    NEAREST,
    Candidates,
    count_tables,
    deduplicate_pairs,
    find_candidates,
    nearest_candidates,
)

FAR = np.array([[2**64 - 1, 2**64 - 1]], np.uint64)  # 128 bits from zero


def hashed(*bits: int) -> NDArray[np.uint64]:
    """Return hashes with these numbers of lowest bits set; distances are the differences."""
    words = [((1 << n) - 1) for n in bits]
    return np.array([[w & (2**64 - 1), w >> 64] for w in words], np.uint64)


def test_pairs_up_to_the_greatest_distance_are_found_once() -> None:
    words = hashed(0, NEAR_BITS, NEAR_BITS + 1, 70)
    far = np.repeat(FAR, 4, axis=0) ^ words  # nothing mirrored is near
    found = deduplicate_pairs(nearest_candidates(np.arange(4), words, words, far))
    assert list(zip(found.query, found.target, strict=True)) == [(0, 1), (1, 2)]
    assert not found.mirrored.any()
    assert found.crowded == 0


def test_a_mirrored_copy_is_found_and_said_to_be_one() -> None:
    upright, mirrored = hashed(0, 100), hashed(90, 1)  # the second, mirrored, is 1 from the first
    found = deduplicate_pairs(nearest_candidates(np.arange(2), upright, upright, mirrored))
    assert (found.query.tolist(), found.target.tolist()) == ([0], [1])
    assert found.mirrored.tolist() == [True]


def test_only_the_nearest_are_kept_and_the_crowd_is_counted() -> None:
    words = hashed(*range(NEAREST + 2))
    far = np.repeat(FAR, len(words), axis=0) ^ words
    found = nearest_candidates(np.array([0]), words, words, far)
    assert found.target.tolist() == list(range(1, NEAREST + 1))
    assert found.crowded == 1


def test_equal_images_share_the_first_ones_as_candidates() -> None:
    words = hashed(*[7] * 40)
    found = deduplicate_pairs(nearest_candidates(np.arange(40), words, words, words))
    assert set(found.query) == set(range(NEAREST))
    assert set(found.target) | set(found.query) == set(range(40))


@pytest.mark.parametrize("count", [0, 1])
def test_few_images_have_no_pairs(count: int) -> None:
    words = hashed(*range(count)).reshape(count, 2)
    found = deduplicate_pairs(nearest_candidates(np.arange(count), words, words, words))
    assert len(found) == 0
    assert isinstance(found, Candidates)


def generated(count: int, copies: int, seed: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Random hashes, and copies with 0 to 36 bits changed, every third one mirrored."""
    rng = np.random.default_rng(seed)
    upright, mirrored = rng.integers(0, 2**64, (2, count, 2), dtype=np.uint64)
    for copy in range(copies):
        bits = np.zeros(128, np.uint8)
        bits[rng.choice(128, copy % 37, replace=False)] = 1
        first, second = rng.choice(count, 2, replace=False)
        target = mirrored if copy % 3 == 0 else upright
        target[second] = upright[first] ^ np.packbits(bits).view(np.uint64)
    return upright, mirrored


def assert_the_same(upright: NDArray[np.uint64], mirrored: NDArray[np.uint64]) -> Candidates:
    """Assert that sorted tables find the same pairs as the search of all pairs, in order."""
    every, found = (
        find_candidates(upright, mirrored, all_pairs=most) for most in (len(upright), 0)
    )
    for field in ("query", "target", "mirrored"):
        np.testing.assert_array_equal(getattr(found, field), getattr(every, field))
    assert found.crowded == every.crowded
    return found


@pytest.mark.parametrize("seed", range(3))
def test_sorted_tables_find_the_same_pairs_as_all_pairs(seed: int) -> None:
    found = assert_the_same(*generated(1500, 400, seed))
    assert len(found) > 300
    assert found.mirrored.any()


def test_sorted_tables_find_the_nearest_of_many() -> None:
    """Sixty images that differ from one in three bits each: of each the nearest, the first of
    equals, and all but the last few crowded."""
    upright, mirrored = generated(500, 0, 0)
    for row in range(1, 61):
        upright[row] = upright[0]
        upright[row, 0] ^= np.uint64(0b111 << row)
    assert assert_the_same(upright, mirrored).crowded == 61


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_sorted_tables_of_few_hashes(count: int) -> None:
    words = hashed(*range(count)).reshape(count, 2)
    assert len(assert_the_same(words, words)) == count * (count - 1)


def test_ten_times_the_hashes_take_far_less_than_a_hundred_times_the_work() -> None:
    work = [count * count_tables(count, NEAR_BITS) for count in (10**5, 10**6)]
    assert 10 < work[1] / work[0] < 30
