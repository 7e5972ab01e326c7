"""How far a mean over seeds and images may be from what other seeds and images would give.

Every seed answers the same images, so the two are crossed: an image is hard for all seeds, and a
seed is lucky on all images. The variance of the mean has a part for each. The images' part is that
of the images' means over the seeds. The seeds' part is how far the seeds' means lie apart, less
what the single answers' own noise explains of it; with two to five seeds it rests on very little,
so how little is kept beside it.
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
    seeds: Values  # the same from the choice of seeds
    seeds_with_noise: Values  # `seeds` before the noise of single answers was taken off
    seeds_freedom: Values  # how many independent deviations `seeds_with_noise` rests on

    @property
    def variance(self) -> Values:
        return self.images + self.seeds

    @property
    def freedom(self) -> Values:
        """Degrees of freedom of the whole, after Satterthwaite; the images' are taken as many."""
        shaky = np.asarray(self.seeds_with_noise)
        shares = np.divide(self.variance, shaky, out=np.full_like(shaky, np.inf), where=shaky > 0)
        few = np.isfinite(shares) & (self.seeds_freedom > 0)
        found = np.multiply(
            self.seeds_freedom, shares**2, out=np.full_like(shaky, np.inf), where=few
        )
        at_least_one: Values = np.maximum(found, 1.0)
        return at_least_one


def spread(answers: NDArray[np.generic]) -> Spread:
    """The spread of the mean of `answers` (..., seeds, images), or of differences of answers."""
    values = answers.astype(np.float64)
    seeds, images = values.shape[-2:]
    of_images, of_seeds = values.mean(axis=-2), values.mean(axis=-1)
    mean = of_seeds.mean(axis=-1)
    from_images = of_images.var(axis=-1) / images
    if seeds == 1:
        none = np.zeros_like(mean)
        return Spread(mean, from_images, none, none, none)
    # What is left of each answer when its image and its seed are taken off: its sum of squares is
    # the whole less the two parts.
    whole = ((values - mean[..., None, None]) ** 2).sum(axis=(-2, -1))
    by_seed = ((of_seeds - mean[..., None]) ** 2).sum(axis=-1)
    rest = np.maximum(whole - seeds * images * from_images * images - images * by_seed, 0.0)
    noise = rest / max((seeds - 1) * (images - 1), 1) / images
    apart = by_seed / (seeds - 1)
    return Spread(
        mean,
        from_images,
        np.maximum(apart - noise, 0.0) / seeds,
        apart / seeds,
        np.full_like(mean, seeds - 1),
    )


def difference(first: NDArray[np.generic], second: NDArray[np.generic]) -> Spread:
    """The spread of how much more often `first` is right than `second`, on the same images.

    Paired by image. Seeds are not: one seed does not do the same to two networks, and there may be
    more of the one than of the other.
    """
    a, b = spread(first), spread(second)
    apart = first.mean(axis=-2) - second.mean(axis=-2)
    shaky = a.seeds_with_noise + b.seeds_with_noise
    # Satterthwaite's freedom of a sum: the parts' squares, each over its own.
    squares = sum(s.seeds_with_noise**2 / np.maximum(s.seeds_freedom, 1.0) for s in (a, b))
    return Spread(
        a.mean - b.mean,
        apart.var(axis=-1) / apart.shape[-1],
        a.seeds + b.seeds,
        shaky,
        np.divide(shaky**2, squares, out=np.zeros_like(shaky), where=shaky > 0),
    )
