"""Which images may be copies of each other, by the distance of their hashes.

Up to `ALL_PAIRS` images, every one is held against every other, a block at a time: 64-bit words,
exclusive or, and a count of bits; where there are more, they are sorted (`sorted_search.py`). What
is kept is bounded by `NEAREST` for each image, and no table of all pairs ever exists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.audit.hashing import Hashes
from bench.data.audit.sorted_search import distances, near_pairs

NEAR_BITS = 34  # of 128; copies cropped by 5 % at every side stay within 29
NEAREST = 16  # candidates of one image: bounds the work where all images look alike
ALL_PAIRS = 25_000  # images; so many take seconds, and twice as many four times as long
ROWS, COLUMNS = 32, 8192  # one block of words fits into a core's cache


@dataclass(frozen=True)
class Candidates:
    """Pairs to be looked at closer: `query[i]` and `target[i]`, perhaps the latter mirrored."""

    query: NDArray[np.intp]
    target: NDArray[np.intp]
    mirrored: NDArray[np.bool_]
    crowded: int = 0  # queries with more than `NEAREST` to look at, of which the others were left

    def __len__(self) -> int:
        return len(self.query)

    def where(self, chosen: NDArray[np.bool_]) -> Candidates:
        return Candidates(self.query[chosen], self.target[chosen], self.mirrored[chosen])


def within(
    upright: Hashes,
    mirrored: Hashes,
    progress: Callable[[int], None] = lambda done: None,
    all_pairs: int = ALL_PAIRS,
) -> Candidates:
    """The candidates of each image among all others."""
    count = len(upright)
    if count <= all_pairs:
        return candidates(np.arange(count), upright, upright, mirrored, progress)
    query, target, crowded = near_pairs(upright, mirrored, NEAR_BITS, NEAREST, progress)
    straight, turned = distances(query, target, upright, mirrored)
    return Candidates(query, target, turned < straight, int(crowded.sum()))


def candidates(
    queries: NDArray[np.intp],
    hashed: Hashes,
    upright: Hashes,
    mirrored: Hashes,
    progress: Callable[[int], None] = lambda done: None,
) -> Candidates:
    """For each of the images `queries`, the nearest others whose hash is within `NEAR_BITS`.

    `hashed[query]` is held against `upright` and `mirrored`, the hashes of what may be found.
    """
    found: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]] = []
    crowded = 0
    for start in range(0, len(queries), ROWS):
        rows = queries[start : start + ROWS]
        straight = _distances(hashed[rows], upright)
        turned = _distances(hashed[rows], mirrored)
        nearest = np.minimum(straight, turned)
        nearest[np.arange(len(rows)), rows] = 255  # an image is not its own copy
        for row, query in enumerate(rows):
            near = np.flatnonzero(nearest[row] <= NEAR_BITS)
            crowded += len(near) > NEAREST
            # Stable: among equals the first ones, so that a hundred copies of one image all meet
            # in the same few and none is cut off from the others.
            near = near[np.argsort(nearest[row, near], kind="stable")[:NEAREST]]
            is_turned = turned[row, near] < straight[row, near]
            found.append((np.full(len(near), query, np.intp), near, is_turned))
        progress(min(start + ROWS, len(queries)))
    if not found:
        none = np.empty(0, np.intp)
        return Candidates(none, none, np.empty(0, bool))
    query, target, is_mirrored = (np.concatenate(column) for column in zip(*found, strict=True))
    return Candidates(query, target, is_mirrored, crowded)


def once(pairs: Candidates) -> Candidates:
    """Each pair once, where both images found each other."""
    low, high = np.minimum(pairs.query, pairs.target), np.maximum(pairs.query, pairs.target)
    _, first = np.unique(np.column_stack([low, high]), axis=0, return_index=True)
    return Candidates(low[first], high[first], pairs.mirrored[first], pairs.crowded)


def _distances(rows: Hashes, columns: Hashes) -> NDArray[np.uint8]:
    """The number of differing bits, each row against each column."""
    found = np.empty((len(rows), len(columns)), np.uint8)
    for start in range(0, len(columns), COLUMNS):
        block = slice(start, start + COLUMNS)
        differing = rows[:, None, :] ^ columns[None, block, :]
        found[:, block] = sum(
            np.bitwise_count(differing[:, :, word]) for word in range(rows.shape[1])
        )
    return found
