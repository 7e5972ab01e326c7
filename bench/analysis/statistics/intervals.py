"""95% intervals that cover both seeds and test images.

Resampling seeds and images gives intervals that are too narrow if few answers are wrong or there
are few seeds. So the bootstrap variance is computed in closed form, corrected for few seeds, and
put into score intervals, which keep their coverage near 0 and 1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from bench.analysis.statistics.spread import Spread, Values, spread

PRIOR_IMAGES = 0.25  # prior weight of "all seeds answer alike", in images
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
    found: Spread, images: int, seeds: int = 1, level: float = LEVEL
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


def mean_change(found: Spread) -> tuple[Values, Values]:
    """Return Student's interval of a difference of unbounded figures, such as a loss."""
    half = _quantile(found) * np.sqrt(found.variance)
    return found.mean - half, found.mean + half


def _quantile(found: Spread, level: float = LEVEL) -> Values:
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
