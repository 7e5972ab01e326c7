"""The variance of a mean over seeds and images, and 95% intervals that cover both.

All seeds predict the same images, so the two factors are crossed: an image is hard for all seeds,
and a seed is good on all images. The variance of the mean has a part for each factor and a residual
of single predictions, which appears in both and must be counted once: it is counted with the seeds.
With two to five seeds that part has few degrees of freedom, so these are stored with it.

Resampling seeds and images gives intervals that are too narrow if there are few errors or few
seeds. So the bootstrap variance is computed in closed form, corrected for few seeds, and used in
score intervals, which keep their coverage near 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

Values = NDArray[np.floating]
Correct = NDArray[np.bool_]  # (..., seeds, images): whether each prediction is correct
PRIOR_IMAGES = 0.25  # prior weight of "all seeds predict alike", in images
SHARE_POWER = 2.25  # chosen by simulation: see `_quantile`
CONFIDENCE = 0.95


@dataclass(frozen=True)
class MeanVariance:
    """Means and the parts of their variances, one for each of the leading axes of the data."""

    mean: Values
    images: Values  # variance of the mean due to the sampling of images
    seeds: Values  # variance of the mean due to the seeds, residual included
    residual: Values  # the part of `seeds` due to single predictions
    seeds_alone: Values  # `seeds` without the residual, at least 0
    dof: Values  # degrees of freedom of `seeds`
    conservative_dof: Values  # a lower estimate of `dof`, for tests

    @classmethod
    def from_images(cls, mean: Values, images: Values) -> MeanVariance:
        """Build it for a single seed, where only the images contribute variance."""
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
    def from_correct(cls, correct: Correct) -> Accuracy:
        """Compute the accuracy from correct predictions (seeds, images)."""
        return cls(float(correct.mean()), *map(float, accuracy_interval(correct)))


@dataclass(frozen=True)
class Gain:
    """A change of accuracy, with its 95% interval over images and seeds."""

    change: float
    low: float
    high: float

    @classmethod
    def from_correct(cls, after: Correct, before: Correct) -> Gain:
        """Compute the gain from correct predictions (seeds, images), paired by image and seed."""
        gained = mean_variance(after.astype(np.int8) - before)
        seeds, images = after.shape
        return cls(float(gained.mean), *map(float, difference_interval(gained, images, seeds)))

    @property
    def word(self) -> str:
        """Return "helped", "hurt" or "not significant"."""
        if self.low > 0:
            return "helped"
        return "hurt" if self.high < 0 else "not significant"


def mean_variance(values: NDArray[np.generic]) -> MeanVariance:
    """Return the mean of `values` (..., seeds, images) with the parts of its variance."""
    values = values.astype(np.float64)
    seeds, images = values.shape[-2:]
    image_means, seed_means = values.mean(axis=-2), values.mean(axis=-1)
    mean = seed_means.mean(axis=-1)
    from_images = image_means.var(axis=-1) / images
    if seeds == 1:
        return MeanVariance.from_images(mean, from_images)
    # The sum of squares of the residual, after image and seed effects are subtracted, is the total
    # less that of the images and that of the seeds.
    total = ((values - mean[..., None, None]) ** 2).sum(axis=(-2, -1))
    between_seeds = ((seed_means - mean[..., None]) ** 2).sum(axis=-1)
    rest = np.maximum(total - seeds * images * from_images * images - images * between_seeds, 0.0)
    residual = rest / max((seeds - 1) * (images - 1), 1) / images / seeds
    from_seeds = between_seeds / (seeds - 1) / seeds
    dof = np.full_like(mean, seeds - 1)
    return MeanVariance(
        mean,
        np.maximum(from_images - residual, 0.0),
        from_seeds,
        residual,
        np.maximum(from_seeds - residual, 0.0),
        dof,
        dof,
    )


def paired_difference(first: NDArray[np.generic], second: NDArray[np.generic]) -> MeanVariance:
    """Return the mean of `first` less that of `second` (..., seeds, images), with its variance.

    Paired by image, not by seed: a seed does not have the same effect on two networks, and the
    numbers of seeds may differ.
    """
    a, b = mean_variance(first), mean_variance(second)
    by_image = first.mean(axis=-2) - second.mean(axis=-2)
    seeds, residual = a.seeds + b.seeds, a.residual + b.residual

    def dof(more: float) -> Values:
        squares = sum(s.seeds**2 / np.maximum(s.dof + more, 1.0) for s in (a, b))
        found = np.divide(seeds**2, squares, out=np.full_like(seeds, more), where=seeds > 0) - more
        at_most: Values = np.minimum(found, a.dof + b.dof)
        return at_most

    return MeanVariance(
        a.mean - b.mean,
        np.maximum(by_image.var(axis=-1) / by_image.shape[-1] - residual, 0.0),
        seeds,
        residual,
        a.seeds_alone + b.seeds_alone,
        dof(2.0),  # after Welch: the parts are themselves estimates
        dof(0.0),  # after Satterthwaite
    )


def accuracy_interval(correct: NDArray[np.generic]) -> tuple[Values, Values]:
    """Return the ends of the 95% interval of the mean of `correct` (..., seeds, images).

    It is Wilson's interval for the number of images that would give the same variance with one seed
    and independent predictions. With one seed it equals Wilson's interval.
    """
    found = mean_variance(correct)
    seeds, images = correct.shape[-2:]
    accuracy = found.mean
    # With few errors, the data say little about how alike the seeds predict an image.
    errors, alike = images * accuracy * (1 - accuracy), accuracy * (1 - accuracy) / images
    from_images = (errors * found.images + PRIOR_IMAGES * alike) / (errors + PRIOR_IMAGES)
    found = replace(found, images=from_images)
    variance = found.variance
    least = np.maximum(alike / seeds, np.finfo(np.float64).tiny)
    # All correct, or all wrong: no variance is observed, so every image counts.
    effective = np.where(
        variance > 0, accuracy * (1 - accuracy) / np.maximum(variance, least), float(images)
    )
    times = _quantile(found)
    extra = times**2 / effective
    middle = (accuracy + extra / 2) / (1 + extra)
    spread = np.sqrt(accuracy * (1 - accuracy) / effective + extra / (4 * effective))
    half = times * spread / (1 + extra)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def difference_interval(
    found: MeanVariance, images: int, seeds: int = 1, level: float = CONFIDENCE
) -> tuple[Values, Values]:
    """Return the ends of the interval of a difference of two accuracies on the same `images`.

    After Agresti and Min two images are added, half of one won and half of one lost: even if both
    predict every image alike, the difference is not known to be zero.
    """
    more = images + 2
    mean = found.mean * images / more
    square = (found.images * images + found.mean**2) * images / more + 1 / (seeds**2 * more)
    variance = (square - mean**2) / more + found.seeds
    half = _quantile(found, level) * np.sqrt(variance)
    return np.maximum(mean - half, -1.0), np.minimum(mean + half, 1.0)


def student_interval(found: MeanVariance) -> tuple[Values, Values]:
    """Return the ends of Student's 95% interval, for unbounded figures such as a loss."""
    half = _quantile(found) * np.sqrt(found.variance)
    return found.mean - half, found.mean + half


def _quantile(found: MeanVariance, level: float = CONFIDENCE) -> Values:
    """Return a quantile between the normal one, for variance from many images, and Student's, for
    variance from few seeds, weighted by the fraction of the variance that comes from seeds.

    Satterthwaite's degrees of freedom use the square of that fraction, which is right for small
    fractions but falls short of 95% by up to 8 points for large ones with two seeds. Weighting the
    squared quantiles keeps 95% over the whole range.
    """
    variance = found.variance
    share = np.divide(found.seeds, variance, out=np.zeros_like(variance), where=variance > 0)
    tail = 0.5 + level / 2
    normal, student = ndtri(tail), stdtrit(np.maximum(found.dof, 1.0), tail)
    quantile: Values = np.sqrt(normal**2 + (student**2 - normal**2) * share**SHARE_POWER)
    return quantile
