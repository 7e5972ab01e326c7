"""Search for candidate pairs: images that may be copies, by the distance of their hashes.

Up to `ALL_PAIRS` images, all pairs are compared, a block at a time, by exclusive or and a count of
bits. At most `NEAREST` candidates are kept for each image, and no table of all pairs exists.

With more images, the bits of all hashes are shuffled in the same way, the hashes are sorted, and
each is compared with its neighbours. Two hashes that differ in few bits become neighbours if their
first bits after a shuffle are equal, which happens at least once with enough shuffles. Their number
follows from the number of hashes and the fraction of pairs that may be missed: 1 in 1,000 of the
pairs that differ in 34 of 128 bits, and 1 in ten million of those that differ in 29, as cropped
copies do. Memory is proportional to the number of hashes, time to its power of 1.45.
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

NEAR_BITS = 34  # of 128; copies cropped by 5 % at every side differ in at most 29
NEAREST = 16  # maximum candidates per image: limits the work if all images look alike
ALL_PAIRS = 25_000  # images: comparing all pairs takes seconds, and grows with the square
ROWS, COLUMNS = 32, 8192  # hashes compared at a time: a block fits into a core's cache

WINDOW = 32  # neighbours with which each hash is compared, on each side
MAX_MISSED = 1e-3  # fraction of pairs at the largest distance that may be missed
ORDERS = 8  # sort orders of one shuffle, each beginning with another eighth of the bits
COMPACTED = 1 << 20  # pairs collected, with many repetitions, before they are deduplicated
SHUFFLED = 1 << 16  # hashes whose bits are shuffled at a time

Pairs = NDArray[np.int64]  # query << 32 | target
Number = NDArray[np.intp]


def _search_tables(
    upright: Hashes, mirrored: Hashes, progress: Callable[[int], None]
) -> Candidates:
    """Return the candidates among neighbours in sorted tables, by query, the nearest first.

    `progress(done)` reports the finished part of the work, scaled to the number of hashes.
    """
    count = len(upright)
    both = np.concatenate([upright, mirrored])
    tables = count_tables(count, NEAR_BITS)
    kept = _NearestPairs(upright, mirrored)
    rng = np.random.default_rng(0)
    with ThreadPoolExecutor(available_cores()) as pool:
        found = prefetch_map(
            pool,
            lambda keys: _adjacent_pairs(both, keys, kept.bounds),
            _sort_keys(both, tables, rng),
            available_cores(),
        )
        for done, pairs in enumerate(found, 1):
            kept.add(pairs)
            progress(count * done // tables)
    kept.compact()
    query, target = _split_pairs(kept.pairs)
    straight, flipped = _pair_distances(query, target, upright, mirrored)
    return Candidates(query, target, flipped < straight, int(kept.crowded.sum()))


def _split_pairs(pairs: Pairs) -> tuple[Number, Number]:
    """Return the queries and the targets of pairs."""
    return (pairs >> 32).astype(np.intp), (pairs & 0xFFFFFFFF).astype(np.intp)


def _pair_distances(
    query: Number, target: Number, upright: Hashes, mirrored: Hashes
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the number of differing bits of each pair: upright, and with the target mirrored."""
    rows = upright[query]
    return _count_bits(rows ^ upright[target]), _count_bits(rows ^ mirrored[target])


def count_tables(count: int, bits: int) -> int:
    """Return how many sorted tables `count` images need, so that a pair that differs in `bits` bits
    is missed with probability `MAX_MISSED` at most."""
    prefix = max(0.0, log2(max(1, 2 * count) / WINDOW))  # equal first bits of neighbours
    found = min(0.99, (1 - bits / BITS) ** prefix)  # probability, in one table
    return ceil(log(MAX_MISSED) / log(1 - found))


class _NearestPairs:
    """The distinct pairs found so far, limited to the nearest of each query."""

    def __init__(self, upright: Hashes, mirrored: Hashes) -> None:
        self.pairs: Pairs = np.empty(0, np.int64)
        self.bounds = np.full(
            len(upright), NEAR_BITS, np.uint8
        )  # the largest distance that is kept
        self.crowded = np.zeros(len(upright), bool)
        self._upright, self._mirrored = upright, mirrored
        self._new: list[Pairs] = []
        self._waiting = 0

    def add(self, pairs: Pairs) -> None:
        """Add pairs, which may occur several times."""
        self._new.append(pairs)
        self._waiting += len(pairs)
        if self._waiting > max(COMPACTED, len(self.pairs)):
            self.compact()

    def compact(self) -> None:
        """Deduplicate the pairs and keep the nearest of each query."""
        pairs = np.unique(np.concatenate([self.pairs, *self._new]))
        self._new, self._waiting = [], 0
        query, target = _split_pairs(pairs)
        closeness = np.minimum(*_pair_distances(query, target, self._upright, self._mirrored))
        # Of equally near targets the first ones are kept, as in the search of all pairs.
        order = np.lexsort((target, closeness, query))
        pairs, query, closeness = pairs[order], query[order], closeness[order]
        rank = np.arange(len(query)) - np.searchsorted(query, query)
        self.crowded[query[rank >= NEAREST]] = True
        self.pairs = pairs[rank < NEAREST]
        last = rank == NEAREST - 1
        self.bounds[query[last]] = closeness[last]


def _sort_keys(both: Hashes, tables: int, rng: np.random.Generator) -> Iterator[NDArray[Any]]:
    """Yield the sort keys of each table."""
    made = 0
    while made < tables:
        shuffled = _shuffle_bits(both, rng.permutation(BITS))
        for first in range(min(ORDERS, tables - made)):
            parts = [shuffled[:, (first + n) % ORDERS].astype(np.uint64) for n in range(4)]
            yield parts[0] << 48 | parts[1] << 32 | parts[2] << 16 | parts[3]
            made += 1


def _shuffle_bits(both: Hashes, order: Number) -> NDArray[np.uint16]:
    """Return all hashes with their bits in the given order, divided into `ORDERS` parts."""
    found = np.empty((len(both), ORDERS), np.uint16)
    for start in range(0, len(both), SHUFFLED):
        rows = both[start : start + SHUFFLED]
        bits = np.unpackbits(rows.view(np.uint8), axis=1)
        found[start : start + SHUFFLED] = np.packbits(bits.take(order, axis=1), axis=1).view(
            np.uint16
        )
    return found


def _adjacent_pairs(both: Hashes, keys: NDArray[Any], bounds: NDArray[np.uint8]) -> Pairs:
    """Return the pairs of neighbours in the order of `keys` that are within the query's bound."""
    order = np.argsort(keys)
    low, high = both[order, 0], both[order, 1]
    farthest = bounds.max(initial=0)
    found = [np.empty(0, np.int64)]
    for step in range(1, min(WINDOW, len(order) - 1) + 1):
        differing = np.bitwise_count(low[step:] ^ low[:-step])
        differing += np.bitwise_count(high[step:] ^ high[:-step])
        near = np.flatnonzero(differing <= farthest)
        first, second, apart = order[near], order[near + step], differing[near]
        found += [
            _valid_pairs(first, second, apart, bounds),
            _valid_pairs(second, first, apart, bounds),
        ]
    return np.concatenate(found)


def _valid_pairs(
    query: Number, target: Number, apart: NDArray[Any], bounds: NDArray[np.uint8]
) -> Pairs:
    """Return the pairs within the query's bound whose query is an upright hash, not a mirrored one,
    and whose target is another image."""
    count = len(bounds)
    upright = query < count
    query, target, apart = query[upright], target[upright] % count, apart[upright]
    valid = (query != target) & (apart <= bounds[query])
    pairs: Pairs = query[valid].astype(np.int64) << 32 | target[valid]
    return pairs


def _count_bits(words: Hashes) -> NDArray[np.uint8]:
    counted: NDArray[np.uint8] = np.bitwise_count(words).sum(axis=1, dtype=np.uint8)
    return counted


@dataclass(frozen=True)
class Candidates:
    """Pairs of images to compare by pixels: `query[i]` and `target[i]`, mirrored if so marked."""

    query: NDArray[np.intp]
    target: NDArray[np.intp]
    mirrored: NDArray[np.bool_]
    crowded: int = 0  # queries with more than `NEAREST` candidates, of which the nearest are kept

    def __len__(self) -> int:
        return len(self.query)

    def select(self, chosen: NDArray[np.bool_]) -> Candidates:
        """Return the pairs for which `chosen` is true."""
        return Candidates(self.query[chosen], self.target[chosen], self.mirrored[chosen])


def find_candidates(
    upright: Hashes,
    mirrored: Hashes,
    progress: Callable[[int], None] = lambda done: None,
    all_pairs: int = ALL_PAIRS,
) -> Candidates:
    """Return the candidates of each image among all others.

    `all_pairs`: the number of images up to which all pairs are compared.
    """
    count = len(upright)
    if count <= all_pairs:
        return nearest_candidates(np.arange(count), upright, upright, mirrored, progress)
    return _search_tables(upright, mirrored, progress)


def nearest_candidates(
    queries: NDArray[np.intp],
    hashed: Hashes,
    upright: Hashes,
    mirrored: Hashes,
    progress: Callable[[int], None] = lambda done: None,
) -> Candidates:
    """Return, for each of the images `queries`, the nearest other images within `NEAR_BITS`.

    `hashed[query]` is compared with the targets' hashes, `upright` and `mirrored`.
    """
    found: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]] = []
    crowded = 0
    for start in range(0, len(queries), ROWS):
        rows = queries[start : start + ROWS]
        straight = _distances(hashed[rows], upright)
        flipped = _distances(hashed[rows], mirrored)
        nearest = np.minimum(straight, flipped)
        nearest[np.arange(len(rows)), rows] = 255  # an image is not its own copy
        for row, query in enumerate(rows):
            near = np.flatnonzero(nearest[row] <= NEAR_BITS)
            crowded += len(near) > NEAREST
            # A stable sort keeps the first of equally near images, so that a hundred copies of one
            # image all have the same few candidates and remain connected.
            near = near[np.argsort(nearest[row, near], kind="stable")[:NEAREST]]
            is_flipped = flipped[row, near] < straight[row, near]
            found.append((np.full(len(near), query, np.intp), near, is_flipped))
        progress(min(start + ROWS, len(queries)))
    if not found:
        none = np.empty(0, np.intp)
        return Candidates(none, none, np.empty(0, bool))
    query, target, is_mirrored = (np.concatenate(column) for column in zip(*found, strict=True))
    return Candidates(query, target, is_mirrored, crowded)


def deduplicate_pairs(pairs: Candidates) -> Candidates:
    """Return the pairs without their reverses: two images that found each other are one pair."""
    low, high = np.minimum(pairs.query, pairs.target), np.maximum(pairs.query, pairs.target)
    _, first = np.unique(np.column_stack([low, high]), axis=0, return_index=True)
    return Candidates(low[first], high[first], pairs.mirrored[first], pairs.crowded)


def _distances(rows: Hashes, columns: Hashes) -> NDArray[np.uint8]:
    """Return the number of differing bits between each row's and each column's hash."""
    found = np.empty((len(rows), len(columns)), np.uint8)
    for start in range(0, len(columns), COLUMNS):
        block = slice(start, start + COLUMNS)
        differing = rows[:, None, :] ^ columns[None, block, :]
        found[:, block] = sum(
            np.bitwise_count(differing[:, :, word]) for word in range(rows.shape[1])
        )
    return found
