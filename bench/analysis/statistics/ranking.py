"""The stability of a ranking: how often each would be first with other seeds and other images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.statistics.spread import spread

DRAWS = 10_000
MIN_DRAWS = 1_000
MAX_DRAWN_NUMBERS = 10_000_000  # drawn in all, where there are very many images


@dataclass(frozen=True)
class Stability:
    """Shares of the draws; a tie within a draw is split."""

    first: NDArray[np.float64]  # of each
    beats: NDArray[np.float64]  # row over column


def stability(answers: NDArray[np.bool_], most_draws: int = DRAWS, seed: int = 0) -> Stability:
    """Resample the images with replacement, and draw the effect of the seeds of each backbone.

    `answers` are (backbones, seeds, images). So few seeds cannot be resampled without understating
    their spread, so their effect is drawn from Student's distribution.
    """
    count, seeds, images = answers.shape
    random = np.random.default_rng(seed)
    # Images with the same answers are interchangeable: drawing how many of each kind is equivalent
    # and much cheaper, because most images are right for all backbones.
    kinds, sizes = np.unique(answers.sum(axis=1), axis=1, return_counts=True)
    draws = min(most_draws, max(MIN_DRAWS, MAX_DRAWN_NUMBERS // len(sizes)))
    drawn = random.multinomial(images, sizes / images, size=draws)
    right = drawn @ kinds.T / (seeds * images)
    if seeds > 1:
        scale = np.sqrt(spread(answers).seeds_alone)
        right = right + scale * random.standard_t(seeds - 1, size=right.shape)
    best = np.isclose(right, right.max(axis=1, keepdims=True), rtol=0, atol=1e-12)
    beats = np.full((count, count), 0.5)
    for a in range(count):
        ahead = right[:, [a]] - right
        wins = np.where(np.abs(ahead) <= 1e-12, 0.5, ahead > 0)
        beats[a] = wins.mean(axis=0)
    return Stability((best / best.sum(axis=1, keepdims=True)).mean(axis=0), beats)
