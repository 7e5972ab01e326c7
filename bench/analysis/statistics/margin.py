"""Which backbones may replace the best one: those shown to be within a margin of it.

"No significant difference" does not mean equal: with few images a test finds none between backbones
that are 10 points apart. So a backbone is within the margin only if the data rule out that it is
further behind than the margin (non-inferiority), worse only if they rule out that it is as good as
the best, and undecided otherwise.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import ndtri

from bench.analysis.statistics.intervals import Correct, MeanVariance, difference_interval
from bench.analysis.statistics.pairwise import LEVEL, Pairs, paired_differences

Place = Literal["best", "within", "undecided", "worse"]
POWER = 0.8  # how often the recommended images or seeds would decide
MAX_IMAGES = 1_000_000
MAX_SEEDS = 100


@dataclass(frozen=True)
class Placement:
    """How a backbone compares with the best one, in differences of accuracy."""

    place: Place
    behind: float  # accuracy of the best less its own
    could_be: float  # largest upper end of the 95% intervals of its distances behind the others
    images: int | None = None  # test images that would decide, if the differences stay the same
    seeds: int | None = None  # seeds that would decide, if no number of images would


def place(
    correct: Correct, margin: float, differences: Pairs | None = None
) -> tuple[Placement, ...]:
    """Place each backbone; `correct` is (backbones, seeds, images).

    `margin` is a fraction: 0.01 is one point. `differences` are the `paired_differences`, if
    already computed.

    k is within the margin if the upper end of the 95% interval of j - k is below it for every other
    j; all must hold at once, so no correction is needed. k is worse if the lower end of best - k is
    above 0, with Holm's correction over all comparisons with the best.
    """
    count, seeds, images = correct.shape
    differences = paired_differences(correct) if differences is None else differences
    totals = correct.sum(axis=(1, 2))
    best = int(totals.argmax())
    leads = {k: {j: _lead(differences, j, k) for j in range(count) if j != k} for k in range(count)}
    upper = {
        k: {j: float(difference_interval(found, images, seeds)[1]) for j, found in over.items()}
        for k, over in leads.items()
    }
    could_be = {k: max(ends.values(), default=0.0) for k, ends in upper.items()}
    within = {k for k in range(count) if could_be[k] < margin}
    worse = _worse({k: leads[k][best] for k in leads if k != best}, images, seeds)
    level = 1 - LEVEL / max(1, count - 1)
    placed = []
    for k in range(count):
        behind = int(totals[best] - totals[k]) / (seeds * images)
        if k == best or k in worse or k in within:
            # Shown to be a little worse, but by less than the margin: good enough.
            name: Place = "best" if k == best else "within" if k in within else "worse"
            placed.append(Placement(name, behind, could_be[k]))
            continue
        open_leads = [leads[k][j] for j, end in upper[k].items() if end >= margin]
        needed = [(found, margin - float(found.mean), 1 - LEVEL) for found in open_leads]
        gap = [(leads[k][best], float(leads[k][best].mean), level)]
        options = [every for every in (needed, gap) if all(room > 0 for _, room, _ in every)]
        size = _sample_size(options, images, seeds)
        placed.append(Placement("undecided", behind, could_be[k], *size))
    return tuple(placed)


def _lead(differences: Pairs, j: int, k: int) -> MeanVariance:
    """Return the accuracy of j less that of k."""
    if j < k:
        return differences[j, k]
    return replace(differences[k, j], mean=-differences[k, j].mean)


def _worse(behind: dict[int, MeanVariance], images: int, seeds: int) -> set[int]:
    """Return the keys of `behind` that are significantly behind the best, after Holm."""
    left = dict(behind)
    while left:
        level = 1 - LEVEL / len(left)
        ends = {
            k: float(difference_interval(found, images, seeds, level)[0])
            for k, found in left.items()
        }
        clear = [k for k, end in ends.items() if end > 0]
        if not clear:
            break
        # Rejecting all that are significant at this level equals rejecting them one by one.
        for k in clear:
            del left[k]
    return set(behind) - set(left)


# A difference, the largest half-width that its interval may have, and its level.
Condition = tuple[MeanVariance, float, float]


def _sample_size(
    options: list[list[Condition]], images: int, seeds: int
) -> tuple[int | None, int | None]:
    """Return the images, or else the seeds, with which all conditions of any one option are met in
    80% of repetitions."""

    def are_met(images: int, seeds: int, resize: Callable[[MeanVariance], MeanVariance]) -> bool:
        return any(
            all(_is_met(resize(found), images, seeds, room, level) for found, room, level in option)
            for option in options
        )

    def enough_images(number: int) -> bool:
        return are_met(number, seeds, lambda found: _with_images(found, images, number))

    def enough_seeds(number: int) -> bool:
        return are_met(images, number, lambda found: _with_seeds(found, seeds, number))

    if (found := _smallest(enough_images, images, MAX_IMAGES)) is not None:
        return found, None
    return None, _smallest(enough_seeds, seeds, MAX_SEEDS) if seeds > 1 else None


def _is_met(found: MeanVariance, images: int, seeds: int, room: float, level: float) -> bool:
    low, high = difference_interval(found, images, seeds, level)
    return bool((high - low) / 2 + ndtri(POWER) * np.sqrt(found.variance) <= room)


def _with_images(found: MeanVariance, images: int, number: int) -> MeanVariance:
    """Return the variance expected with `number` images in place of `images`."""
    factor = images / number
    residual = found.residual * factor
    return replace(
        found,
        images=found.images * factor,
        seeds=found.seeds_alone + residual,
        residual=residual,
    )


def _with_seeds(found: MeanVariance, seeds: int, number: int) -> MeanVariance:
    """Return the variance expected with `number` seeds in place of `seeds`."""
    factor = seeds / number
    return replace(
        found,
        seeds=found.seeds * factor,
        residual=found.residual * factor,
        seeds_alone=found.seeds_alone * factor,
        dof=found.dof * (number - 1) / (seeds - 1),
    )


def _smallest(is_enough: Callable[[int], bool], low: int, most: int) -> int | None:
    """Return the smallest sufficient number above `low`; `None` if `most` is not enough."""
    numbers = range(low + 1, most + 1)
    index = bisect_left(numbers, True, key=is_enough)
    return numbers[index] if index < len(numbers) else None
