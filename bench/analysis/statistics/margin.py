"""Which of several may be taken for the best: those shown to be within a margin of it.

No significant difference does not mean equal: with few images a test finds none between backbones
that are 10 points apart. So a backbone is within the margin only if the data rule out that it is
further behind than that (non-inferiority), worse only if they rule out that it is as good as the
best, and undecided otherwise.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bench.analysis.statistics.intervals import MeanVariance, change
from bench.analysis.statistics.pairwise import LEVEL, Pairs, paired_differences

Place = Literal["best", "within", "undecided", "worse"]
POWER = 0.8  # how often the recommended images or seeds would decide
MAX_IMAGES = 1_000_000
MAX_SEEDS = 100


@dataclass(frozen=True)
class Placement:
    """How one of several compares with the best of them; differences in accuracy."""

    place: Place
    behind: float  # the best less this one
    could_be: float  # at most this far behind any other: the upper end of the 95% interval
    images: int | None = None  # this many would decide, if the differences stay as they are
    seeds: int | None = None  # this many would, if no number of images would


def place(
    answers: NDArray[np.bool_], margin: float, apart: Pairs | None = None
) -> tuple[Placement, ...]:
    """Place each of `answers` (backbones, seeds, images); `margin` is a share, 0.01 is a point.

    k is within the margin where the upper end of the 95% interval of j - k is below it for every
    other j; all must hold at once, so no correction is needed. k is worse if the lower end of
    best - k is above 0, with Holm's correction over all that are compared with the best.
    """
    count, seeds, images = answers.shape
    apart = paired_differences(answers) if apart is None else apart
    right = answers.sum(axis=(1, 2))
    best = int(right.argmax())
    leads = {k: {j: _lead(apart, j, k) for j in range(count) if j != k} for k in range(count)}
    upper = {
        k: {j: float(change(found, images, seeds)[1]) for j, found in over.items()}
        for k, over in leads.items()
    }
    could_be = {k: max(ends.values(), default=0.0) for k, ends in upper.items()}
    within = {k for k in range(count) if could_be[k] < margin}
    worse = _worse({k: leads[k][best] for k in leads if k != best}, images, seeds)
    level = 1 - LEVEL / max(1, count - 1)
    placed = []
    for k in range(count):
        behind = int(right[best] - right[k]) / (seeds * images)
        if k == best or k in worse or k in within:
            # Shown to be a little worse, but by less than the margin: good enough.
            name: Place = "best" if k == best else "within" if k in within else "worse"
            placed.append(Placement(name, behind, could_be[k]))
            continue
        open_leads = [leads[k][j] for j, end in upper[k].items() if end >= margin]
        needed = [(found, margin - float(found.mean), 1 - LEVEL) for found in open_leads]
        gap = [(leads[k][best], float(leads[k][best].mean), level)]
        options = [every for every in (needed, gap) if all(room > 0 for _, room, _ in every)]
        placed.append(Placement("undecided", behind, could_be[k], *_needed(options, images, seeds)))
    return tuple(placed)


def _lead(apart: Pairs, j: int, k: int) -> MeanVariance:
    """Return the difference of j less k."""
    if j < k:
        return apart[j, k]
    return replace(apart[k, j], mean=-apart[k, j].mean)


def _worse(behind: dict[int, MeanVariance], images: int, seeds: int) -> set[int]:
    """Apply Holm: test the clearest at the strictest level, until one is not significant."""
    left = dict(behind)
    while left:
        level = 1 - LEVEL / len(left)
        ends = {k: float(change(found, images, seeds, level)[0]) for k, found in left.items()}
        clear = [k for k, end in ends.items() if end > 0]
        if not clear:
            break
        # Rejecting all that are significant at this level equals rejecting them one by one.
        for k in clear:
            del left[k]
    return set(behind) - set(left)


# A difference, the room its interval has, and its level.
Condition = tuple[MeanVariance, float, float]


def _needed(
    options: list[list[Condition]], images: int, seeds: int
) -> tuple[int | None, int | None]:
    """Return the images, or else seeds, for which all conditions of an option hold in 80% of
    repetitions."""

    def hold(images: int, seeds: int, spread: Callable[[MeanVariance], MeanVariance]) -> bool:
        return any(
            all(_fits(spread(found), images, seeds, room, level) for found, room, level in option)
            for option in options
        )

    def with_images(number: int) -> bool:
        return hold(number, seeds, lambda found: _on_images(found, images, number))

    def with_seeds(number: int) -> bool:
        return hold(images, number, lambda found: _of_seeds(found, seeds, number))

    if (found := _first(with_images, images, MAX_IMAGES)) is not None:
        return found, None
    return None, _first(with_seeds, seeds, MAX_SEEDS) if seeds > 1 else None


def _fits(found: MeanVariance, images: int, seeds: int, room: float, level: float) -> bool:
    low, high = change(found, images, seeds, level)
    return bool((high - low) / 2 + ndtri(POWER) * np.sqrt(found.variance) <= room)


def _on_images(found: MeanVariance, images: int, number: int) -> MeanVariance:
    """Return the spread that `number` images of the same kind would give."""
    share = images / number
    luck = found.luck * share
    return replace(found, images=found.images * share, seeds=found.seeds_alone + luck, luck=luck)


def _of_seeds(found: MeanVariance, seeds: int, number: int) -> MeanVariance:
    share = seeds / number
    return replace(
        found,
        seeds=found.seeds * share,
        luck=found.luck * share,
        seeds_alone=found.seeds_alone * share,
        freedom=found.freedom * (number - 1) / (seeds - 1),
    )


def _first(enough: Callable[[int], bool], low: int, most: int) -> int | None:
    """Find the least sufficient number above `low`; `None` if `most` is not enough."""
    numbers = range(low + 1, most + 1)
    place = bisect_left(numbers, True, key=enough)
    return numbers[place] if place < len(numbers) else None
