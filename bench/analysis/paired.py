"""The difference between two models that answered the same images, with its 95% interval.

On the same images a difference is known far better than two intervals side by side suggest: images
that both get right, or both wrong, say nothing about it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def interval_of_shares(before: Values, after: Values) -> tuple[float, float]:
    """From what each got right: seeds x images, the same images in the same order."""
    from bench.analysis.statistics.intervals import change
    from bench.analysis.statistics.spread import difference

    seeds = min(len(before), len(after))
    low, high = change(difference(after, before), after.shape[-1], seeds)
    return float(low), float(high)


def interval_of_means(before: Values, after: Values) -> tuple[float, float]:
    """From a figure of each image that has no bounds, such as its loss."""
    from bench.analysis.statistics.intervals import mean_change
    from bench.analysis.statistics.spread import difference

    low, high = mean_change(difference(after, before))
    return float(low), float(high)
