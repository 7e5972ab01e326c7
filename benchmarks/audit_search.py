"""Measure how long the search for near copies takes among many hashes, and how many it misses.

    python benchmarks/audit_search.py [--hashes 1000000] [--copies 10000] [--all-pairs]

The hashes are generated: random bits, as those of unlike images, and copies of some of them with up
to 34 of 128 bits changed, every third one mirrored. With --all-pairs the same pairs are also found
by comparing every hash with every other, whose time grows with the square of their number.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from numpy.typing import NDArray

from bench.data.audit.hashing import BITS, HASH_WORDS
from bench.data.audit.search import NEAR_BITS, count_tables, find_candidates

Hashes = NDArray[np.uint64]
STEP = 5  # bits of a distance that are counted together


def generate(
    count: int, copies: int, seed: int = 0
) -> tuple[Hashes, Hashes, NDArray[np.intp], NDArray[np.intp]]:
    """Return upright and mirrored hashes, in which image 2i + 1 is a copy of 2i, and for each copy
    its distance and whether it is mirrored."""
    rng = np.random.default_rng(seed)
    upright, mirrored = rng.integers(0, 2**64, (2, count, HASH_WORDS), dtype=np.uint64)
    distance = np.arange(copies) % (NEAR_BITS + 1)
    turned = np.arange(copies) % 3 == 0
    for copy in range(copies):
        bits = np.zeros(BITS, np.uint8)
        bits[rng.choice(BITS, distance[copy], replace=False)] = 1
        change = np.packbits(bits).view(np.uint64)
        first, second = 2 * copy, 2 * copy + 1
        if turned[copy]:  # as a mirror does: either is near the other's mirror image
            mirrored[second] = upright[first] ^ change
            mirrored[first] = upright[second] ^ change
        else:
            upright[second] = upright[first] ^ change
    return upright, mirrored, distance, turned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hashes", type=int, default=1_000_000)
    parser.add_argument("--copies", type=int, default=10_000)
    parser.add_argument("--all-pairs", action="store_true")
    arguments = parser.parse_args()
    count, copies = arguments.hashes, arguments.copies
    upright, mirrored, distance, turned = generate(count, copies)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun, processor = time.perf_counter(), time.process_time()
    found = find_candidates(upright, mirrored, all_pairs=count if arguments.all_pairs else 0)
    seconds, processor = time.perf_counter() - begun, time.process_time() - processor
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    how = "all pairs" if arguments.all_pairs else f"{count_tables(count, NEAR_BITS)} sorted tables"
    print(f"{count:,} hashes, {how}: {seconds:.1f} s ({processor:.1f} s of processor time)")
    print(f"memory: {grown / 1e6:,.0f} MB more than before")
    pairs = set(zip(found.query.tolist(), found.target.tolist(), strict=True))
    seen = np.array([(2 * i, 2 * i + 1) in pairs for i in range(copies)], bool)
    for low in range(0, NEAR_BITS + 1, STEP):
        chosen = (distance >= low) & (distance < low + STEP)
        among = f"{low} to {min(low + STEP - 1, NEAR_BITS)} bits"
        missed = np.count_nonzero(chosen & ~seen)
        print(f"  copies of {among:14} {np.count_nonzero(chosen):6,}, missed {missed}")
    print(f"{len(found):,} candidates, {np.count_nonzero(turned):,} of the copies mirrored")


if __name__ == "__main__":
    main()
