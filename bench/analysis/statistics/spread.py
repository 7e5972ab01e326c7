"""The variance of a mean over seeds and images, split into its sources.

Every seed answers the same images, so the two factors are crossed: an image is hard for all seeds,
and a seed is good on all images. The variance of the mean has a part for each, and a residual of
single answers ("luck"), which shows in both and must count once: it is counted with the seeds'
part. With two to five seeds that part has few degrees of freedom, so these are kept with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]


@dataclass(frozen=True)
class Spread:
    """A mean and the parts of its variance; each an array over the leading axes of the answers."""

    mean: Values
    images: Values  # variance of the mean that comes from the choice of images
    seeds: Values  # the same from the choice of seeds, and from the luck of single answers
    luck: Values  # the part of `seeds` that luck explains
    seeds_alone: Values  # the part of `seeds` that the seeds explain, at least 0
    freedom: Values  # degrees of freedom of `seeds`
    low_freedom: Values  # the same, estimated conservatively: for tests

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
    # The residual after subtracting image and seed effects: its sum of squares is the total less
    # the two parts.
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

    Paired by image, not by seed: a seed does not have the same effect on two networks, and the
    numbers of seeds may differ.
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
