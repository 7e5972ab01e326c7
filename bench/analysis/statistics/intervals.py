"""The variance of a mean over seeds and images, and 95% intervals that cover both.

Every seed answers the same images, so the two factors are crossed: an image is hard for all seeds,
and a seed is good on all images. The variance of the mean has a part for each, and a residual of
single answers ("luck"), which shows in both and must count once: it is counted with the seeds'
part. With two to five seeds that part has few degrees of freedom, so these are kept with it.

Resampling seeds and images gives intervals that are too narrow if few answers are wrong or there
are few seeds. So the bootstrap variance is computed in closed form, corrected for few seeds, and
put into score intervals, which keep their coverage near 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

Values = NDArray[np.floating]
PRIOR_IMAGES = 0.25  # prior weight of "all seeds answer alike", in images
SHARE_POWER = 2.25  # chosen by simulation: see `_quantile`
CONFIDENCE = 0.95


@dataclass(frozen=True)
class MeanVariance:
    """A mean and the parts of its variance; each an array over the leading axes of the answers."""

    mean: Values
    images: Values  # variance of the mean that comes from the choice of images
    seeds: Values  # the same from the choice of seeds, and from the luck of single answers
    luck: Values  # the part of `seeds` that luck explains
    seeds_alone: Values  # the part of `seeds` that the seeds explain, at least 0
    freedom: Values  # degrees of freedom of `seeds`
    low_freedom: Values  # the same, estimated conservatively: for tests

    @classmethod
    def of_images(cls, mean: Values, images: Values) -> MeanVariance:
        """Return that of a mean over images alone, as of one seed."""
        none = np.zeros_like(mean)
        return cls(mean, images, none, none, none, none, none)

    @property
    def variance(self) -> Values:
        return self.images + self.seeds


@dataclass(frozen=True)
class Accuracy:
    """A mean over seeds and test images, with its 95% interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, right: NDArray[np.bool_]) -> Accuracy:
        """Return that of answers (seeds, images)."""
        return cls(float(right.mean()), *map(float, accuracy(right)))


@dataclass(frozen=True)
class Gain:
    """A change of accuracy, with its 95% interval over images and seeds."""

    change: float
    low: float
    high: float

    @classmethod
    def of(cls, after: NDArray[np.bool_], before: NDArray[np.bool_]) -> Gain:
        """Return that of answers (seeds, images), paired by image and seed."""
        gained = spread(after.astype(np.int8) - before)
        seeds, images = after.shape
        return cls(float(gained.mean), *map(float, change(gained, images, seeds)))

    @property
    def word(self) -> str:
        if self.low > 0:
            return "helped"
        return "hurt" if self.high < 0 else "not significant"


def spread(answers: NDArray[np.generic]) -> MeanVariance:
    """Return the spread of the mean of `answers` (..., seeds, images), or of differences."""
    values = answers.astype(np.float64)
    seeds, images = values.shape[-2:]
    of_images, of_seeds = values.mean(axis=-2), values.mean(axis=-1)
    mean = of_seeds.mean(axis=-1)
    from_images = of_images.var(axis=-1) / images
    if seeds == 1:
        return MeanVariance.of_images(mean, from_images)
    # The residual after subtracting image and seed effects: its sum of squares is the total less
    # the two parts.
    whole = ((values - mean[..., None, None]) ** 2).sum(axis=(-2, -1))
    by_seed = ((of_seeds - mean[..., None]) ** 2).sum(axis=-1)
    rest = np.maximum(whole - seeds * images * from_images * images - images * by_seed, 0.0)
    luck = rest / max((seeds - 1) * (images - 1), 1) / images / seeds
    of_seeds_and_luck = by_seed / (seeds - 1) / seeds
    freedom = np.full_like(mean, seeds - 1)
    return MeanVariance(
        mean,
        np.maximum(from_images - luck, 0.0),
        of_seeds_and_luck,
        luck,
        np.maximum(of_seeds_and_luck - luck, 0.0),
        freedom,
        freedom,
    )


def difference(first: NDArray[np.generic], second: NDArray[np.generic]) -> MeanVariance:
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

    return MeanVariance(
        a.mean - b.mean,
        np.maximum(apart.var(axis=-1) / apart.shape[-1] - luck, 0.0),
        seeds,
        luck,
        a.seeds_alone + b.seeds_alone,
        freedom(2.0),  # after Welch: the parts are themselves estimates
        freedom(0.0),  # after Satterthwaite
    )


def accuracy(answers: NDArray[np.generic]) -> tuple[Values, Values]:
    """Return the ends of the interval of the mean of `answers` (..., seeds, images).

    Wilson's, for as many images as would give the same variance with one seed and independent
    answers. With one seed it is Wilson's own.
    """
    found = spread(answers)
    seeds, images = answers.shape[-2:]
    share = found.mean
    # If few images are wrong, they say little about how alike the seeds answer an image.
    telling, alike = images * share * (1 - share), share * (1 - share) / images
    of_images = (telling * found.images + PRIOR_IMAGES * alike) / (telling + PRIOR_IMAGES)
    found = replace(found, images=of_images)
    variance = found.variance
    least = np.maximum(alike / seeds, np.finfo(np.float64).tiny)
    # All right, or all wrong: no variance is observed, so every image counts.
    worth = np.where(variance > 0, share * (1 - share) / np.maximum(variance, least), float(images))
    times = _quantile(found)
    extra = times**2 / worth
    middle = (share + extra / 2) / (1 + extra)
    half = times * np.sqrt(share * (1 - share) / worth + extra / (4 * worth)) / (1 + extra)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def change(
    found: MeanVariance, images: int, seeds: int = 1, level: float = CONFIDENCE
) -> tuple[Values, Values]:
    """Return the ends of the interval of a difference of two means on the same `images`.

    Two images are added, half of one won and half of one lost, after Agresti and Min: even if no
    image is answered differently, the difference is not known to be zero.
    """
    more = images + 2
    mean = found.mean * images / more
    square = (found.images * images + found.mean**2) * images / more + 1 / (seeds**2 * more)
    variance = (square - mean**2) / more + found.seeds
    half = _quantile(found, level) * np.sqrt(variance)
    return np.maximum(mean - half, -1.0), np.minimum(mean + half, 1.0)


def mean_change(found: MeanVariance) -> tuple[Values, Values]:
    """Return Student's interval of a difference of unbounded figures, such as a loss."""
    half = _quantile(found) * np.sqrt(found.variance)
    return found.mean - half, found.mean + half


def _quantile(found: MeanVariance, level: float = CONFIDENCE) -> Values:
    """Return a quantile between the normal one, for variance from many images, and Student's, for
    variance from few seeds, by the seeds' share of the variance.

    Satterthwaite's degrees of freedom use the square of the share, which is right for small shares
    but falls short of 95% by up to 8 points for large ones with two seeds. Weighting the squared
    quantiles holds over the whole range.
    """
    variance = found.variance
    share = np.divide(found.seeds, variance, out=np.zeros_like(variance), where=variance > 0)
    tail = 0.5 + level / 2
    normal, student = ndtri(tail), stdtrit(np.maximum(found.freedom, 1.0), tail)
    quantile: Values = np.sqrt(normal**2 + (student**2 - normal**2) * share**SHARE_POWER)
    return quantile
