"""Which images may be copies of each other, by the distance of their hashes.

Up to `ALL_PAIRS` images, every one is held against every other, a block at a time: 64-bit words,
exclusive or, and a count of bits; where there are more, they are sorted (`sorted_search.py`). What
is kept is bounded by `NEAREST` for each image, and no table of all pairs ever exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil, log, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.audit.hashing import BITS, Hashes
from bench.system.environment import available_cores
from bench.system.parallel import prefetch_map

WINDOW = 32  # neighbours that each hash is held against, on either side
MISSED = 1e-3  # of the pairs at the greatest distance, at most, where hashes are of random bits
ORDERS = 8  # that one shuffle is sorted in: each begins with another eighth of the bits
COMPACTED = 1 << 20  # pairs found, many of them again and again, before each is kept once
ROWS = 1 << 16  # hashes whose bits are shuffled at once

Pairs = NDArray[np.int64]  # query << 32 | target
Number = NDArray[np.intp]


def near_pairs(
    upright: Hashes,
    mirrored: Hashes,
    bits: int,
    nearest: int,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[Number, Number, NDArray[np.bool_]]:
    """Queries and targets of the pairs whose distance is within `bits`, by query, the nearest
    first, and which queries had more than the `nearest` that are kept of each.

    `progress` is told how many hashes' worth of the work is done.
    """
    count = len(upright)
    both = np.concatenate([upright, mirrored])
    tables = tables_for(count, bits)
    kept = _Kept(upright, mirrored, bits, nearest)
    rng = np.random.default_rng(0)
    with ThreadPoolExecutor(available_cores()) as pool:
        found = prefetch_map(
            pool,
            lambda keys: _adjacent(both, keys, kept.bounds),
            _orders(both, tables, rng),
            available_cores(),
        )
        for done, pairs in enumerate(found, 1):
            kept.add(pairs)
            progress(count * done // tables)
    kept.compact()
    query, target = kept.pairs >> 32, kept.pairs & 0xFFFFFFFF
    return query.astype(np.intp), target.astype(np.intp), kept.crowded


def distances(
    query: Number, target: Number, upright: Hashes, mirrored: Hashes
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The bits in which each pair differs, as they are and with the target mirrored."""
    rows = upright[query]
    return _bits(rows ^ upright[target]), _bits(rows ^ mirrored[target])


def tables_for(count: int, bits: int) -> int:
    """How many sorted tables miss a pair that differs in so many bits as rarely as `MISSED`."""
    agreeing = max(0.0, log2(max(1, 2 * count) / WINDOW))  # first bits that bring a pair together
    together = min(0.99, (1 - bits / BITS) ** agreeing)
    return ceil(log(MISSED) / log(1 - together))


class _Kept:
    """The pairs found so far, each once, and of each query only the nearest."""

    def __init__(self, upright: Hashes, mirrored: Hashes, bits: int, nearest: int) -> None:
        self.pairs: Pairs = np.empty(0, np.int64)
        self.bounds = np.full(len(upright), bits, np.uint8)  # what is farther is not kept
        self.crowded = np.zeros(len(upright), bool)
        self._upright, self._mirrored, self._nearest = upright, mirrored, nearest
        self._new: list[Pairs] = []
        self._waiting = 0

    def add(self, pairs: Pairs) -> None:
        self._new.append(pairs)
        self._waiting += len(pairs)
        if self._waiting > max(COMPACTED, len(self.pairs)):
            self.compact()

    def compact(self) -> None:
        pairs = np.unique(np.concatenate([self.pairs, *self._new]))
        self._new, self._waiting = [], 0
        query, target = (pairs >> 32).astype(np.intp), (pairs & 0xFFFFFFFF).astype(np.intp)
        closeness = np.minimum(*distances(query, target, self._upright, self._mirrored))
        # Among equals the first ones, as in the search of all pairs.
        order = np.lexsort((target, closeness, query))
        pairs, query, closeness = pairs[order], query[order], closeness[order]
        rank = np.arange(len(query)) - np.searchsorted(query, query)
        self.crowded[query[rank >= self._nearest]] = True
        self.pairs = pairs[rank < self._nearest]
        last = rank == self._nearest - 1
        self.bounds[query[last]] = closeness[last]


def _orders(both: Hashes, tables: int, rng: np.random.Generator) -> Iterator[NDArray[Any]]:
    """The keys to sort by, one table after another."""
    made = 0
    while made < tables:
        shuffled = _shuffled(both, rng.permutation(BITS))
        for first in range(min(ORDERS, tables - made)):
            parts = [shuffled[:, (first + n) % ORDERS].astype(np.uint64) for n in range(4)]
            yield parts[0] << 48 | parts[1] << 32 | parts[2] << 16 | parts[3]
            made += 1


def _shuffled(both: Hashes, order: Number) -> NDArray[np.uint16]:
    """All hashes with their bits in that order, in `ORDERS` parts."""
    found = np.empty((len(both), ORDERS), np.uint16)
    for start in range(0, len(both), ROWS):
        rows = both[start : start + ROWS]
        bits = np.unpackbits(rows.view(np.uint8), axis=1)
        found[start : start + ROWS] = np.packbits(bits.take(order, axis=1), axis=1).view(np.uint16)
    return found


def _adjacent(both: Hashes, keys: NDArray[Any], bounds: NDArray[np.uint8]) -> Pairs:
    """Those that stand next to each other once sorted by `keys`, and are within the query's bound
    of each other."""
    order = np.argsort(keys)
    low, high = both[order, 0], both[order, 1]
    farthest = bounds.max(initial=0)
    found = [np.empty(0, np.int64)]
    for step in range(1, min(WINDOW, len(order) - 1) + 1):
        differing = np.bitwise_count(low[step:] ^ low[:-step])
        differing += np.bitwise_count(high[step:] ^ high[:-step])
        near = np.flatnonzero(differing <= farthest)
        first, second, apart = order[near], order[near + step], differing[near]
        found += [_pairs(first, second, apart, bounds), _pairs(second, first, apart, bounds)]
    return np.concatenate(found)


def _pairs(query: Number, target: Number, apart: NDArray[Any], bounds: NDArray[np.uint8]) -> Pairs:
    """Those whose query is no mirrored hash, and whose target is another image, mirrored or not."""
    count = len(bounds)
    upright = query < count
    query, target, apart = query[upright], target[upright] % count, apart[upright]
    valid = (query != target) & (apart <= bounds[query])
    pairs: Pairs = query[valid].astype(np.int64) << 32 | target[valid]
    return pairs


def _bits(words: Hashes) -> NDArray[np.uint8]:
    counted: NDArray[np.uint8] = np.bitwise_count(words).sum(axis=1, dtype=np.uint8)
    return counted


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
