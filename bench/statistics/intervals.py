"""95% intervals that cover both seeds and test images.

Drawing seeds and images with replacement gives intervals that are too narrow where few answers are
wrong and few seeds lie far apart. So the variance that such draws would find is taken in closed
form, corrected for few seeds, and put into score intervals, which hold near the ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bench.statistics.proportions import Z95
from bench.statistics.spread import Spread, Values, spread


def accuracy(answers: NDArray[np.generic]) -> tuple[Values, Values]:
    """The ends of the interval of the mean of `answers` (..., seeds, images).

    Wilson's, for as many images as would give the same variance with one seed and independent
    answers, and Student's quantile in place of the normal one. With one seed it is Wilson's own.
    """
    found = spread(answers)
    seeds, images = answers.shape[-2:]
    share, variance = found.mean, found.variance
    least = np.maximum(share * (1 - share) / (seeds * images), np.finfo(np.float64).tiny)
    # All right, or all wrong: no variance is seen, and the images are as many as there are.
    worth = np.where(variance > 0, share * (1 - share) / np.maximum(variance, least), float(images))
    times = _quantile(found)
    spare = times**2 / worth
    middle = (share + spare / 2) / (1 + spare)
    half = times * np.sqrt(share * (1 - share) / worth + spare / (4 * worth)) / (1 + spare)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def change(found: Spread, images: int, seeds: int = 1) -> tuple[Values, Values]:
    """The ends of the interval of a difference of two means on the same `images`.

    As if one answer more of one seed had been won and one more lost, after Bonett and Price: few
    images are answered differently, and where none is the difference is not thereby known to be
    nothing.
    """
    more = images + 2
    mean = found.mean * images / more
    square = (found.images * images + found.mean**2) * images / more + 2 / (seeds**2 * more)
    variance = (square - mean**2) / more + found.seeds
    half = _quantile(found) * np.sqrt(variance)
    return np.maximum(mean - half, -1.0), np.minimum(mean + half, 1.0)


def mean_change(found: Spread) -> tuple[Values, Values]:
    """The same of a figure without bounds, such as a loss: Student's interval."""
    half = _quantile(found) * np.sqrt(found.variance)
    return found.mean - half, found.mean + half


def _quantile(found: Spread) -> Values:
    freedom = np.where(np.isinf(found.freedom), 1.0, found.freedom)
    student: Values = stdtrit(freedom, 0.975)
    return np.where(np.isinf(found.freedom), Z95, student)
