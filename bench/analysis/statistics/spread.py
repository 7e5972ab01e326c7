"""How far a mean over seeds and images may be from what other seeds and images would give.

Every seed answers the same images, so the two are crossed: an image is hard for all seeds, and a
seed is lucky on all images. The variance of the mean has a part for each, and one for the luck of
single answers, which shows in both and must count once. It is counted with the seeds' part: how far
the seeds' means lie apart. With two to five seeds that rests on very little, so how little is kept
beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]


@dataclass(frozen=True)
class Spread:
    """A mean and the parts of its variance; each an array over whatever leads the answers."""

    mean: Values
    images: Values  # variance of the mean that comes from the choice of images
    seeds: Values  # the same from the choice of seeds, and from the luck of single answers
    luck: Values  # what of `seeds` that luck explains
    seeds_alone: Values  # what of `seeds` the seeds explain, of each backbone at least nothing
    freedom: Values  # how many independent deviations `seeds` rests on
    low_freedom: Values  # the same, estimated so that it errs on the low side: for tests

    @property
    def variance(self) -> Values:
        return self.images + self.seeds


def spread(answers: NDArray[np.generic]) -> Spread:
    """Return the spread of the mean of `answers` (..., seeds, images), or of differences."""
    values = answers.astype(np.float64)
    seeds, images = values.shape[-2:]
    of_images, of_seeds = values.mean(axis=-2), values.mean(axis=-1)
    mean = of_seeds.mean(axis=-1)
    from_images = of_images.var(axis=-1) / images
    if seeds == 1:
        none = np.zeros_like(mean)
        return Spread(mean, from_images, none, none, none, none, none)
    # What is left of each answer when its image and its seed are taken off: its sum of squares is
    # the whole less the two parts.
    whole = ((values - mean[..., None, None]) ** 2).sum(axis=(-2, -1))
    by_seed = ((of_seeds - mean[..., None]) ** 2).sum(axis=-1)
    rest = np.maximum(whole - seeds * images * from_images * images - images * by_seed, 0.0)
    luck = rest / max((seeds - 1) * (images - 1), 1) / images / seeds
    of_seeds_and_luck = by_seed / (seeds - 1) / seeds
    freedom = np.full_like(mean, seeds - 1)
    return Spread(
        mean,
        np.maximum(from_images - luck, 0.0),
        of_seeds_and_luck,
        luck,
        np.maximum(of_seeds_and_luck - luck, 0.0),
        freedom,
        freedom,
    )


def difference(first: NDArray[np.generic], second: NDArray[np.generic]) -> Spread:
    """Return the spread of how much more often `first` is right than `second`.

    Paired by image. Seeds are not: one seed does not do the same to two networks, and there may be
    more of the one than of the other.
    """
    a, b = spread(first), spread(second)
    apart = first.mean(axis=-2) - second.mean(axis=-2)
    seeds, luck = a.seeds + b.seeds, a.luck + b.luck

    def freedom(more: float) -> Values:
        squares = sum(s.seeds**2 / np.maximum(s.freedom + more, 1.0) for s in (a, b))
        found = np.divide(seeds**2, squares, out=np.full_like(seeds, more), where=seeds > 0) - more
        at_most: Values = np.minimum(found, a.freedom + b.freedom)
        return at_most

    return Spread(
        a.mean - b.mean,
        np.maximum(apart.var(axis=-1) / apart.shape[-1] - luck, 0.0),
        seeds,
        luck,
        a.seeds_alone + b.seeds_alone,
        freedom(2.0),  # after Welch: the parts are themselves estimates
        freedom(0.0),  # after Satterthwaite
    )
