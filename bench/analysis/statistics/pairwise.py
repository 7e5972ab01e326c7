"""Pairwise significance: which backbones differ on the same test images, and how stable the order
is.

No significant difference is not equality: `margin` decides which backbones may be recommended. It
is not transitive either: a may tie with b, and b with c, while a and c differ. So a backbone may be
in several tie groups, each with a letter; two that share a letter do not differ significantly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from bench.analysis.statistics.intervals import MeanVariance, change, difference, spread

Answers = NDArray[np.bool_]
Pairs = Mapping[tuple[int, int], MeanVariance]  # the first less the second
LEVEL = 0.05
NEGLIGIBLE = 1e-15
DRAWS = 10_000
MIN_DRAWS = 1_000
MAX_DRAWN_NUMBERS = 10_000_000  # in all, if there are very many images
MIN_P = 1e-12  # what is smaller is lost in rounding; no p-value is 0


@dataclass(frozen=True)
class PairComparison:
    """`first` against `second`, by their places among those compared."""

    first: int
    second: int
    difference: float  # how much more often the first is right
    low: float  # of the difference, 95%, for this pair alone
    high: float
    p: float  # for this pair alone
    p_holm: float  # corrected over all pairs, after Holm

    @property
    def differ(self) -> bool:
        return self.p_holm <= LEVEL


def paired_differences(answers: Answers) -> Pairs:
    """Return the spread of the difference of each pair of `answers` (backbones, seeds, images)."""
    pairs = combinations(range(len(answers)), 2)
    return {(a, b): difference(answers[a], answers[b]) for a, b in pairs}


def compare_all(answers: Answers, apart: Pairs | None = None) -> tuple[PairComparison, ...]:
    """Compare every pair of `answers`; `apart` are their differences, if already computed."""
    apart = paired_differences(answers) if apart is None else apart
    p_values = [paired_p_value(answers[a], answers[b]) for a, b in apart]
    found = []
    for ((a, b), gap), p, p_holm in zip(apart.items(), p_values, holm(p_values), strict=True):
        low, high = change(gap, answers.shape[-1], answers.shape[-2])
        found.append(PairComparison(a, b, float(gap.mean), float(low), float(high), p, p_holm))
    return tuple(found)


def paired_p_value(first: Answers, second: Answers) -> float:
    """Return the two-sided mid-p-value of `first` and `second` (seeds, images) being equal.

    A paired permutation test: if they are equal, their answers to an image are exchangeable. All
    exchanges, image by image over all seeds at once, are counted exactly; those with exactly the
    observed difference count half. With one seed this is McNemar's mid-p test. The spread between
    seeds is added to each exchange, as Student's distribution.
    """
    seeds, images = first.shape
    won = first.sum(axis=0, dtype=np.int64) - second.sum(axis=0, dtype=np.int64)
    seen = abs(int(won.sum()))
    steps, chances = _exchanges(won)
    apart = difference(first, second)
    # Two seeds are too few to subtract the luck: equals would be called different too often.
    of_seeds = float(apart.seeds if seeds == 2 else apart.seeds_alone)
    if of_seeds > 0:
        scale = of_seeds**0.5 * seeds * images
        beyond = stdtr(apart.low_freedom, (steps - seen) / scale)
    else:
        beyond = (steps > seen) + 0.5 * (steps == seen)
    # The tails are symmetric: each exchange is as likely as its opposite.
    return float(np.clip(2 * (chances * beyond).sum(), MIN_P, 1.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for multiple comparisons, after Holm."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for done, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _exchanges(won: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return every sum that exchanges of `won` can have, and its probability.

    Each image that one wins adds or subtracts its count with equal probability: its characteristic
    function is a cosine, and those of all images multiply.
    """
    furthest = int(np.abs(won).sum())
    steps = np.arange(-furthest, furthest + 1)
    turn = 2 * np.pi * np.arange(furthest + 1) / len(steps)
    waves = np.ones(furthest + 1)
    for by, images in enumerate(np.bincount(np.abs(won))):
        if by and images:
            waves *= np.cos(by * turn) ** images
    chances = np.fft.fftshift(np.fft.irfft(waves, len(steps)))
    # Rounding errors, and probabilities as small, would only cost time.
    likely = chances > NEGLIGIBLE
    return steps[likely], chances[likely]


def tie_groups(count: int, different: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the largest sets without a significant difference, ordered by first member.

    Each pair that differs splits the sets that hold both (insert and absorb, after Piepho).
    """
    groups = {frozenset(range(count))} if count else set()
    for a, b in different:
        for group in [g for g in groups if a in g and b in g]:
            groups.remove(group)
            groups |= {group - {a}, group - {b}}
        groups = {g for g in groups if not any(g < other for other in groups)}
    return sorted(sorted(group) for group in groups)


def letters(count: int, groups: Iterable[Iterable[int]]) -> list[str]:
    """Return the letters of each backbone as they are printed: "a", "ab"."""
    found = [""] * count
    for number, group in enumerate(groups):
        for member in group:
            found[member] += _letter(number)
    return found


def _letter(number: int) -> str:
    again, place = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(again) if again else "")


@dataclass(frozen=True)
class Stability:
    """Shares of the draws; a tie within a draw is split."""

    first: NDArray[np.float64]  # of each
    beats: NDArray[np.float64]  # row over column


def stability(answers: Answers, most_draws: int = DRAWS) -> Stability:
    """Resample the images with replacement, and draw the effect of the seeds of each backbone.

    `answers` are (backbones, seeds, images). So few seeds cannot be resampled without understating
    their spread, so their effect is drawn from Student's distribution.
    """
    count, seeds, images = answers.shape
    random = np.random.default_rng(0)
    # Images with the same answers are interchangeable: drawing how many of each kind is equivalent
    # and much cheaper, because most images are right for all backbones.
    kinds, sizes = np.unique(answers.sum(axis=1), axis=1, return_counts=True)
    draws = min(most_draws, max(MIN_DRAWS, MAX_DRAWN_NUMBERS // len(sizes)))
    # Some draws at a time, and the spread of one backbone after the other: all are large.
    parts = [min(MIN_DRAWS, draws - start) for start in range(0, draws, MIN_DRAWS)]
    drawn = [random.multinomial(images, sizes / images, size=n) @ kinds.T for n in parts]
    right = np.concatenate(drawn) / (seeds * images)
    if seeds > 1:
        scale = np.sqrt([spread(each).seeds_alone for each in answers])
        right = right + scale * random.standard_t(seeds - 1, size=right.shape)
    best = np.isclose(right, right.max(axis=1, keepdims=True), rtol=0, atol=1e-12)
    beats = np.full((count, count), 0.5)
    for a in range(count):
        ahead = right[:, [a]] - right
        wins = np.where(np.abs(ahead) <= 1e-12, 0.5, ahead > 0)
        beats[a] = wins.mean(axis=0)
    return Stability((best / best.sum(axis=1, keepdims=True)).mean(axis=0), beats)
