"""Rounds of screening: which backbones are kept, and the estimated risk of dropping the best.

A round keeps all backbones whose 95% interval, paired by image, reaches within `MARGIN` of the
best, and never fewer than `MIN_KEPT`. An interval alone would drop too many, because a round is
biased: a probe on frozen features does not rank backbones as fine-tuning does, and no number of
images corrects that. `benchmarks/screen_worlds.py` simulates how often the best is dropped.
`bench/execution/screen.py` runs the rounds and stores their results in `screening.json`, in the
run's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.statistics.intervals import MeanVariance, Values, difference_interval
from bench.storage.run_folder import REWRITE_REMEDY, read_json

FILE = "screening.json"
MARGIN = 0.02
MIN_KEPT = 6  # with 5, the best is dropped in up to 7% of simulated zoos of 40; with 6, in under 5%
DRAWS = 20_000
BIAS = {"probes": 0.02, "head": 0.01}
"""Standard deviation of the final accuracy around that of a round, without the sampling of images:
the values that give the rank correlations of 0.87 and 0.97 observed in 12 configurations on 17
classes."""


@dataclass(frozen=True)
class RoundEvidence:
    """The accuracies of several backbones on the same images, with their covariance."""

    accuracy: Values
    covariance: Values  # of the accuracies, from the sampling of images
    units: int  # independent samples: images, or groups of them

    @classmethod
    def from_correct(
        cls, correct: NDArray[np.bool_], groups: NDArray[np.intp] | None = None
    ) -> RoundEvidence:
        """Compute the evidence from correct predictions (backbones, images).

        `groups` has the group of each image; those of one group, such as copies, are not
        independent.
        """
        accuracy, images = correct.mean(axis=1), correct.shape[1]
        residuals = correct - accuracy[:, None]
        units = images
        if groups is not None:
            _, numbers = np.unique(groups, return_inverse=True)
            units = int(numbers.max()) + 1
            summed = np.zeros((units, len(correct)))
            np.add.at(summed, numbers, residuals.T)
            residuals = summed.T
        return cls(accuracy, residuals @ residuals.T / images**2, units)

    def gaps_to_best(self) -> tuple[Values, Values, Values]:
        """Return how far each is behind the best, with the ends of the 95% paired intervals."""
        best = int(self.accuracy.argmax())
        own = np.diag(self.covariance)
        variance = np.maximum(own[best] + own - 2 * self.covariance[best], 0.0)
        gap = self.accuracy[best] - self.accuracy
        low, high = difference_interval(MeanVariance.from_images(gap, variance), self.units)
        low[best] = high[best] = 0.0
        return gap, low, high

    def is_kept(self) -> NDArray[np.bool_]:
        """Return which are kept: those within reach of the best, or among the first `MIN_KEPT`."""
        _, low, _ = self.gaps_to_best()
        last = np.sort(self.accuracy)[-min(MIN_KEPT, len(low))]
        kept: NDArray[np.bool_] = (low <= MARGIN) | (self.accuracy >= last)
        return kept

    def p_best_dropped(self, dropped: NDArray[np.bool_], bias: float) -> float:
        """Estimate the probability that the best backbone under the whole protocol is dropped.

        Final accuracies are drawn around those of the round, with the covariance of the images and
        a `bias` of each backbone, and shrunk towards their mean, because the most extreme ones are
        partly due to chance. The result is the fraction of draws in which the best is dropped.
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


def count_affordable(costs: Sequence[float], seconds: float) -> int:
    """Return how many of these costs, in order, fit into the seconds.

    At least two, because a single backbone would be compared with nothing.
    """
    fitting = int(np.searchsorted(np.cumsum(costs), seconds, side="right"))
    return min(len(costs), max(2, fitting))


Outcome = Literal["goes on", "evidence", "budget", "failed"]


@dataclass(frozen=True)
class ScreenedBackbone:
    """The result of one backbone in a round; no accuracy if it failed or is not pretrained."""

    name: str
    pretrained: bool
    seconds: float  # spent on it in the round, without what was cached
    outcome: Outcome = "goes on"  # or why it was dropped
    reason: str = ""  # why it failed
    accuracy: float | None = None
    behind: float | None = None  # accuracy of the best less its own
    low: float | None = None  # ends of the 95% interval of `behind`
    high: float | None = None


@dataclass(frozen=True)
class Round:
    """The results of one round."""

    name: str
    images: int  # that accuracies were measured on
    candidates: tuple[ScreenedBackbone, ...]
    dropped_best: float | None = None  # P(the best was dropped on evidence); None: unknown
    unaffordable_best: float | None = None  # P(the best was dropped for the budget)

    @property
    def remaining(self) -> tuple[str, ...]:
        """Return the names of the backbones for the next round, the most promising first."""
        return tuple(one.name for one in self.candidates if one.outcome == "goes on")

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.candidates)


@dataclass(frozen=True)
class Screening:
    """The rounds before the whole protocol, as stored in `screening.json`."""

    budget: str  # as requested; "": none
    rounds: tuple[Round, ...]
    unaffordable: tuple[str, ...] = ()  # dropped for the budget before the first round
    whole_seconds: float = 0.0  # estimate for all backbones in full

    @property
    def dropped_best(self) -> float | None:
        """Return the estimated probability that any round dropped the best; `None`: unknown."""
        chances = [c for r in self.rounds for c in (r.dropped_best, r.unaffordable_best)]
        known = [chance for chance in chances if chance is not None]
        return 1 - prod(1 - chance for chance in known) if known else None


def judge_round(
    name: str,
    entered: Sequence[ScreenedBackbone],
    correct: Mapping[str, NDArray[np.bool_]],
    count_allowed: Callable[[Sequence[str]], int],
    groups: NDArray[np.intp] | None = None,
) -> Round:
    """Decide which backbones remain after a round.

    Pretrained backbones that the evidence keeps come first, the most accurate first; then those
    with random weights, which have no evidence, in the order in which they entered. Of all these
    names, `count_allowed` returns how many the budget allows. `correct` has the correct predictions
    of each pretrained backbone that did not fail, by image; `groups` is as in `RoundEvidence`.
    """
    failed = [replace(one, outcome="failed") for one in entered if one.reason]
    known = [one for one in entered if one.pretrained and not one.reason]
    unknown = [one for one in entered if not one.pretrained and not one.reason]
    images = max(map(len, correct.values()), default=0)
    judged, evidence = list[ScreenedBackbone](), None
    if known:
        evidence = RoundEvidence.from_correct(
            np.stack([correct[one.name] for one in known]), groups
        )
        columns = zip(evidence.accuracy, *evidence.gaps_to_best(), evidence.is_kept(), strict=True)
        judged = [
            replace(
                one,
                outcome="goes on" if kept else "evidence",
                accuracy=float(accuracy),
                behind=float(gap),
                low=float(low),
                high=float(high),
            )
            for one, (accuracy, gap, low, high, kept) in zip(known, columns, strict=True)
        ]
    ranked = sorted(judged, key=lambda one: -(one.accuracy or 0.0))
    staying = [one for one in ranked if one.outcome == "goes on"] + unknown
    number = count_allowed([one.name for one in staying])
    cut = {one.name for one in staying[number:]}
    listed = [*staying, *(one for one in ranked if one.outcome == "evidence")]
    listed = [replace(one, outcome="budget") if one.name in cut else one for one in listed]
    if evidence is None:
        return Round(name, images, (*listed, *failed))

    def p_best_dropped(dropped: Sequence[bool]) -> float:
        return evidence.p_best_dropped(np.array(dropped), BIAS[name])

    return Round(
        name,
        images,
        (*listed, *failed),
        p_best_dropped([one.outcome == "evidence" for one in judged]),
        p_best_dropped([one.name in cut for one in judged]),
    )


def rank_correlation(one: Round, final: Mapping[str, float]) -> float | None:
    """Return Spearman's correlation of the accuracies in a round with the final ones, by name.

    `None` if fewer than three backbones have both, or all accuracies are equal.
    """
    accuracy = {each.name: each.accuracy for each in one.candidates}
    both = pd.DataFrame({"round": accuracy, "final": final}, dtype=float).dropna()
    if len(both) < 3 or (both.nunique() == 1).any():
        return None
    return float(np.corrcoef(both.rank().to_numpy().T)[0, 1])


def load_screening(folder: Path) -> Screening | None:
    """Read the screening stored in a run's folder; `None` if there was none."""
    return read_json(folder / FILE, Screening, f"Move it elsewhere: {REWRITE_REMEDY}")
