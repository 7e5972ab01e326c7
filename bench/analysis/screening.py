"""Which backbones a round of screening keeps, on what evidence, and what its choices may cost.

The rule, on which images of one set each backbone answers rightly: all whose 95% paired interval
reaches within `MARGIN` of the best are kept, and never fewer than `LEAST`. A round is biased: a
probe on frozen features does not rank backbones as fine-tuning does, and no number of images
corrects that, so an interval alone would drop too much. `benchmarks/screen_worlds.py` simulates how
often the best is dropped. The rounds themselves are in `bench/execution/screen.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.statistics.intervals import Spread, Values, change

MARGIN = 0.02
LEAST = 5
DRAWS = 20_000
BIAS = {"probes": 0.02, "head": 0.01}
"""The standard deviation of the final accuracy around what a round shows, besides the sampling of
images: what gave rank correlations of 0.87 and 0.97 in 12 configurations on 17 classes."""


@dataclass(frozen=True)
class Evidence:
    """The accuracies of several backbones on the same images, and what is known of them."""

    accuracy: Values
    covariance: Values  # of the accuracies, from the choice of images
    units: int  # that were drawn independently: images, or groups of them

    @classmethod
    def of(cls, correct: NDArray[np.bool_], groups: NDArray[np.intp] | None = None) -> Evidence:
        """Measure `correct` (backbones x images); the images of a group, such as copies, were not
        drawn independently."""
        accuracy, images = correct.mean(axis=1), correct.shape[1]
        apart = correct - accuracy[:, None]
        units = images
        if groups is not None:
            _, numbers = np.unique(groups, return_inverse=True)
            units = int(numbers.max()) + 1
            summed = np.zeros((units, len(correct)))
            np.add.at(summed, numbers, apart.T)
            apart = summed.T
        return cls(accuracy, apart @ apart.T / images**2, units)

    def behind(self) -> tuple[Values, Values, Values]:
        """Return how far each is behind the best, with the ends of the 95% paired intervals."""
        best = int(self.accuracy.argmax())
        own = np.diag(self.covariance)
        variance = np.maximum(own[best] + own - 2 * self.covariance[best], 0.0)
        gap, none = self.accuracy[best] - self.accuracy, np.zeros_like(own)
        low, high = change(Spread(gap, variance, none, none, none, none, none), self.units)
        low[best] = high[best] = 0.0
        return gap, low, high

    def kept(self) -> NDArray[np.bool_]:
        """Return which stay: within reach of the best, or as good as the fifth."""
        _, low, _ = self.behind()
        fifth = np.sort(self.accuracy)[-min(LEAST, len(low))]
        stay: NDArray[np.bool_] = (low <= MARGIN) | (self.accuracy >= fifth)
        return stay

    def chance(self, dropped: NDArray[np.bool_], bias: float) -> float:
        """Estimate the chance that the best, as the whole protocol would show, is among the
        dropped.

        The share of draws of all final accuracies in which it is. They are drawn around the
        accuracies seen, with the covariance of the images and a `bias` of each backbone, and shrunk
        towards their mean, as the most extreme owe part of that to luck.
        """
        if not dropped.any() or dropped.all():
            return float(dropped.any())
        count = len(self.accuracy)
        noise = self.covariance + bias**2 * np.eye(count)
        own = np.trace(noise) / count
        shared = (noise.sum() - np.trace(noise)) / (count * (count - 1))
        spread = max(float(self.accuracy.var(ddof=1)) - (own - shared), bias**2 / 4)
        weight = np.linalg.solve(noise + spread * np.eye(count), spread * np.eye(count)).T
        middle = self.accuracy.mean() + weight @ (self.accuracy - self.accuracy.mean())
        left = spread * (np.eye(count) - weight)
        draws = np.random.default_rng(0).multivariate_normal(
            middle, (left + left.T) / 2, DRAWS, check_valid="ignore"
        )
        return float(dropped[draws.argmax(axis=1)].mean())


def affordable(costs: Sequence[float], seconds: float) -> int:
    """Return how many of these, in order, fit into the seconds; at least two, as the first alone
    would be a choice that nothing checks."""
    fitting = int(np.searchsorted(np.cumsum(costs), seconds, side="right"))
    return min(len(costs), max(2, fitting))
