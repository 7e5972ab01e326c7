"""95% intervals that cover both seeds and test images.

Drawing seeds and images with replacement gives intervals that are too narrow where few answers are
wrong and few seeds lie far apart. So the variance that such draws would find is taken in closed
form, corrected for few seeds, and put into score intervals, which hold near the ends.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from bench.analysis.statistics.spread import Spread, Values, spread

DOUBT = 0.25  # images that speak for all seeds answering alike, before any was seen
SHARE_POWER = 2.25  # chosen by simulation: see `_quantile`
LEVEL = 0.95


def accuracy(answers: NDArray[np.generic]) -> tuple[Values, Values]:
    """Return the ends of the interval of the mean of `answers` (..., seeds, images).

    Wilson's, for as many images as would give the same variance with one seed and independent
    answers. With one seed it is Wilson's own.
    """
    found = spread(answers)
    seeds, images = answers.shape[-2:]
    share = found.mean
    # Where few images are wrong, they tell little of how alike the seeds answer an image.
    telling, alike = images * share * (1 - share), share * (1 - share) / images
    of_images = (telling * found.images + DOUBT * alike) / (telling + DOUBT)
    found = replace(found, images=of_images)
    variance = found.variance
    least = np.maximum(alike / seeds, np.finfo(np.float64).tiny)
    # All right, or all wrong: no variance is seen, and the images are as many as there are.
    worth = np.where(variance > 0, share * (1 - share) / np.maximum(variance, least), float(images))
    times = _quantile(found)
    spare = times**2 / worth
    middle = (share + spare / 2) / (1 + spare)
    half = times * np.sqrt(share * (1 - share) / worth + spare / (4 * worth)) / (1 + spare)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def change(
    found: Spread, images: int, seeds: int = 1, level: float = LEVEL
) -> tuple[Values, Values]:
    """Return the ends of the interval of a difference of two means on the same `images`.

    As if two images more had been answered by one seed: half of one won and half of one lost, after
    Agresti and Min. Few images are answered differently, and where none is the difference is not
    thereby known to be nothing.
    """
    more = images + 2
    mean = found.mean * images / more
    square = (found.images * images + found.mean**2) * images / more + 1 / (seeds**2 * more)
    variance = (square - mean**2) / more + found.seeds
    half = _quantile(found, level) * np.sqrt(variance)
    return np.maximum(mean - half, -1.0), np.minimum(mean + half, 1.0)


def mean_change(found: Spread) -> tuple[Values, Values]:
    """Return Student's interval of a difference of unbounded figures, such as a loss."""
    half = _quantile(found) * np.sqrt(found.variance)
    return found.mean - half, found.mean + half


def _quantile(found: Spread, level: float = LEVEL) -> Values:
    """Return a quantile between the normal one, for variance from many images, and Student's, for
    variance from few seeds, by the seeds' share of the variance.

    Satterthwaite's degrees of freedom do this with the square of the share, which is right where it
    is small, and fall short of 95% by up to 8 points where it is large and there are two seeds.
    Weighing the squares of the quantiles holds over the whole range.
    """
    variance = found.variance
    share = np.divide(found.seeds, variance, out=np.zeros_like(variance), where=variance > 0)
    tail = 0.5 + level / 2
    normal, student = ndtri(tail), stdtrit(np.maximum(found.freedom, 1.0), tail)
    quantile: Values = np.sqrt(normal**2 + (student**2 - normal**2) * share**SHARE_POWER)
    return quantile
