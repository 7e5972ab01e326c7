"""Pairwise significance: which backbones differ on the same test images, and how stable the order
is.

"No significant difference" does not mean equal: `margin` decides which backbones may be
recommended. It is not transitive either: a may tie with b, and b with c, while a and c differ. So a
backbone may be in several tie groups, each with a letter; two backbones that share a letter do not
differ significantly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from bench.analysis.statistics.intervals import (
    Correct,
    MeanVariance,
    difference_interval,
    mean_variance,
    paired_difference,
)

Pairs = Mapping[tuple[int, int], MeanVariance]  # by indices: accuracy of the first less the second
LEVEL = 0.05
NEGLIGIBLE = 1e-15
DRAWS = 10_000
MIN_DRAWS = 1_000
MAX_DRAWN_NUMBERS = 10_000_000  # limits the draws if there are very many images
MIN_P = 1e-12  # smaller p-values are lost in rounding; none is 0


@dataclass(frozen=True)
class PairComparison:
    """The comparison of two backbones, given by their indices."""

    first: int
    second: int
    difference: float  # accuracy of `first` less that of `second`
    low: float  # ends of the 95% interval of the difference, uncorrected
    high: float
    p: float  # uncorrected
    p_holm: float  # corrected over all pairs, after Holm

    @property
    def differ(self) -> bool:
        return self.p_holm <= LEVEL


def paired_differences(correct: Correct) -> Pairs:
    """Return the difference of every two backbones; `correct` is (backbones, seeds, images)."""
    pairs = combinations(range(len(correct)), 2)
    return {(a, b): paired_difference(correct[a], correct[b]) for a, b in pairs}


def compare_all(correct: Correct, differences: Pairs | None = None) -> tuple[PairComparison, ...]:
    """Compare every two backbones; `correct` is (backbones, seeds, images).

    `differences` are their `paired_differences`, if already computed.
    """
    differences = paired_differences(correct) if differences is None else differences
    p_values = [paired_p_value(correct[a], correct[b]) for a, b in differences]
    found = []
    for ((a, b), gap), p, p_holm in zip(differences.items(), p_values, holm(p_values), strict=True):
        low, high = difference_interval(gap, correct.shape[-1], correct.shape[-2])
        found.append(PairComparison(a, b, float(gap.mean), float(low), float(high), p, p_holm))
    return tuple(found)


def paired_p_value(first: Correct, second: Correct) -> float:
    """Return the two-sided mid-p-value for `first` and `second` (seeds, images) being equally good.

    A paired permutation test: if both are equally good, their predictions for an image are
    exchangeable. All exchanges, image by image with all seeds at once, are counted exactly; those
    with exactly the observed difference count half. With one seed this is McNemar's mid-p test. The
    variance between seeds is added to each exchange, as Student's distribution.
    """
    seeds, images = first.shape
    won = first.sum(axis=0, dtype=np.int64) - second.sum(axis=0, dtype=np.int64)
    observed = abs(int(won.sum()))
    sums, chances = _permutation_distribution(won)
    difference = paired_difference(first, second)
    # Two seeds are too few to subtract the residual: equals would be found different too often.
    variance = float(difference.seeds if seeds == 2 else difference.seeds_alone)
    if variance > 0:
        scale = variance**0.5 * seeds * images
        beyond = stdtr(difference.conservative_dof, (sums - observed) / scale)
    else:
        beyond = (sums > observed) + 0.5 * (sums == observed)
    # The tails are symmetric: each exchange is as likely as its opposite.
    return float(np.clip(2 * (chances * beyond).sum(), MIN_P, 1.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for multiple comparisons, after Holm."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for done, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _permutation_distribution(
    won: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return every possible sum of `won` with signs drawn at random, and its probability.

    `won` is, for each image, by how many seeds the first is correct more often than the second. The
    characteristic function of each term is a cosine, and those of all images multiply.
    """
    largest = int(np.abs(won).sum())
    sums = np.arange(-largest, largest + 1)
    angles = 2 * np.pi * np.arange(largest + 1) / len(sums)
    product = np.ones(largest + 1)
    for by, images in enumerate(np.bincount(np.abs(won))):
        if by and images:
            product *= np.cos(by * angles) ** images
    chances = np.fft.fftshift(np.fft.irfft(product, len(sums)))
    # Rounding errors, and probabilities as small, would only cost time.
    likely = chances > NEGLIGIBLE
    return sums[likely], chances[likely]


def tie_groups(count: int, different: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the largest sets of backbones without a significant difference, by first member.

    Each pair in `different` splits the sets that contain both (insert and absorb, after Piepho).
    """
    groups = {frozenset(range(count))} if count else set()
    for a, b in different:
        for group in [g for g in groups if a in g and b in g]:
            groups.remove(group)
            groups |= {group - {a}, group - {b}}
        groups = {g for g in groups if not any(g < other for other in groups)}
    return sorted(sorted(group) for group in groups)


def tie_letters(count: int, groups: Iterable[Iterable[int]]) -> list[str]:
    """Return the letters of the tie groups of each backbone, such as "a" or "ab"."""
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
    """How often each backbone is first, and ahead of each other, as fractions of the draws.

    A tie within a draw is split.
    """

    first: NDArray[np.float64]
    beats: NDArray[np.float64]  # row over column


def stability(correct: Correct, max_draws: int = DRAWS) -> Stability:
    """Estimate how stable the order is; `correct` is (backbones, seeds, images).

    The images are resampled with replacement. Resampling a few seeds would understate their
    variance, so the seed effect of each backbone is drawn from Student's distribution.
    """
    count, seeds, images = correct.shape
    random = np.random.default_rng(0)
    # Images with the same predictions are interchangeable: drawing how many of each kind is
    # equivalent and much cheaper, because most images are correct for all backbones.
    kinds, sizes = np.unique(correct.sum(axis=1), axis=1, return_counts=True)
    draws = min(max_draws, max(MIN_DRAWS, MAX_DRAWN_NUMBERS // len(sizes)))
    # In batches of draws, and one backbone at a time, to limit memory.
    batches = [min(MIN_DRAWS, draws - start) for start in range(0, draws, MIN_DRAWS)]
    drawn = [random.multinomial(images, sizes / images, size=n) @ kinds.T for n in batches]
    accuracies = np.concatenate(drawn) / (seeds * images)
    if seeds > 1:
        scale = np.sqrt([mean_variance(each).seeds_alone for each in correct])
        accuracies = accuracies + scale * random.standard_t(seeds - 1, size=accuracies.shape)
    best = np.isclose(accuracies, accuracies.max(axis=1, keepdims=True), rtol=0, atol=1e-12)
    beats = np.full((count, count), 0.5)
    for a in range(count):
        ahead = accuracies[:, [a]] - accuracies
        wins = np.where(np.abs(ahead) <= 1e-12, 0.5, ahead > 0)
        beats[a] = wins.mean(axis=0)
    return Stability((best / best.sum(axis=1, keepdims=True)).mean(axis=0), beats)
