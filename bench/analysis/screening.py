"""Which backbones a round of screening keeps, on what evidence, and what its choices may cost.

The rule, on which images of one set each backbone answers rightly: all whose 95% paired interval
reaches within `MARGIN` of the best are kept, and never fewer than `LEAST`. A round is biased: a
probe on frozen features does not rank backbones as fine-tuning does, and no number of images
corrects that, so an interval alone would drop too much. `benchmarks/screen_worlds.py` simulates how
often the best is dropped. The rounds themselves are in `bench/execution/screen.py`, which keeps
what they gave in the run's folder, in `screening.json`.
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
LEAST = 6  # with 5, the best is dropped in up to 7% of simulated zoos of 40; with 6, in under 5%
DRAWS = 20_000
BIAS = {"probes": 0.02, "head": 0.01}
"""The standard deviation of the final accuracy around what a round shows, besides the sampling of
images: what gave rank correlations of 0.87 and 0.97 in 12 configurations on 17 classes."""


@dataclass(frozen=True)
class RoundEvidence:
    """The accuracies of several backbones on the same images, and what is known of them."""

    accuracy: Values
    covariance: Values  # of the accuracies, from the choice of images
    units: int  # that were drawn independently: images, or groups of them

    @classmethod
    def from_correct(
        cls, correct: NDArray[np.bool_], groups: NDArray[np.intp] | None = None
    ) -> RoundEvidence:
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
        gap = self.accuracy[best] - self.accuracy
        low, high = difference_interval(MeanVariance.from_images(gap, variance), self.units)
        low[best] = high[best] = 0.0
        return gap, low, high

    def kept(self) -> NDArray[np.bool_]:
        """Return which stay: within reach of the best, or as good as the one at place `LEAST`."""
        _, low, _ = self.behind()
        last = np.sort(self.accuracy)[-min(LEAST, len(low))]
        stay: NDArray[np.bool_] = (low <= MARGIN) | (self.accuracy >= last)
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


Outcome = Literal["goes on", "evidence", "budget", "failed"]


@dataclass(frozen=True)
class Screened:
    """A backbone after a round; the last fields only where there is evidence of it."""

    name: str
    pretrained: bool
    seconds: float  # that the round took of it, without what was in the cache
    outcome: Outcome = "goes on"  # else what it was left out for
    reason: str = ""  # why it failed
    accuracy: float | None = None
    behind: float | None = None  # the best less this one
    low: float | None = None  # of that, 95%
    high: float | None = None


@dataclass(frozen=True)
class Round:
    """What one round showed of all that entered it."""

    name: str
    images: int  # that it was judged on
    candidates: tuple[Screened, ...]
    dropped_best: float | None = None  # chance that the evidence left out the best; None: unknown
    unaffordable_best: float | None = None  # the same, for the budget

    @property
    def left(self) -> tuple[str, ...]:
        """Return the names of those that go on, the most promising first."""
        return tuple(one.name for one in self.candidates if one.outcome == "goes on")

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.candidates)


@dataclass(frozen=True)
class Screening:
    """The rounds before the whole protocol, as `screening.json` keeps them."""

    budget: str  # as it was given; "": none
    rounds: tuple[Round, ...]
    unaffordable: tuple[str, ...] = ()  # left out by the budget before the first round
    whole_seconds: float = 0.0  # that all backbones would take in full, estimated

    @property
    def dropped_best(self) -> float | None:
        """Return the estimated chance that the best was left out, by any round."""
        chances = [c for r in self.rounds for c in (r.dropped_best, r.unaffordable_best)]
        known = [chance for chance in chances if chance is not None]
        return 1 - prod(1 - chance for chance in known) if known else None


def judge(
    name: str,
    entered: Sequence[Screened],
    correct: Mapping[str, NDArray[np.bool_]],
    allowed: Callable[[Sequence[str]], int],
    groups: NDArray[np.intp] | None = None,
) -> Round:
    """Say who goes on: first what the evidence keeps, the most accurate first; then those with
    random weights, of which nothing is known but times, in the order in which they entered. Of all
    these, the first few that the budget has `allowed`.

    `correct` says which images each pretrained one that did not fail answers rightly.
    """
    failed = [replace(one, outcome="failed") for one in entered if one.reason]
    known = [one for one in entered if one.pretrained and not one.reason]
    unknown = [one for one in entered if not one.pretrained and not one.reason]
    images = max(map(len, correct.values()), default=0)
    judged, evidence = list[Screened](), None
    if known:
        evidence = RoundEvidence.from_correct(
            np.stack([correct[one.name] for one in known]), groups
        )
        columns = zip(evidence.accuracy, *evidence.behind(), evidence.kept(), strict=True)
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
    number = allowed([one.name for one in staying])
    cut = {one.name for one in staying[number:]}
    listed = [*staying, *(one for one in ranked if one.outcome == "evidence")]
    listed = [replace(one, outcome="budget") if one.name in cut else one for one in listed]
    if evidence is None:
        return Round(name, images, (*listed, *failed))

    def chance(which: Sequence[bool]) -> float:
        return evidence.chance(np.array(which), BIAS[name])

    return Round(
        name,
        images,
        (*listed, *failed),
        chance([one.outcome == "evidence" for one in judged]),
        chance([one.name in cut for one in judged]),
    )


def rank_correlation(one: Round, final: Mapping[str, float]) -> float | None:
    """Return Spearman's, of the accuracies in a round and the final ones, by name; nothing where
    fewer than three have both, or all are alike."""
    accuracy = {each.name: each.accuracy for each in one.candidates}
    both = pd.DataFrame({"round": accuracy, "final": final}, dtype=float).dropna()
    if len(both) < 3 or (both.nunique() == 1).any():
        return None
    return float(np.corrcoef(both.rank().to_numpy().T)[0, 1])


def load(folder: Path) -> Screening | None:
    """Read the screening in a run's folder; None where there was none."""
    return read_json(folder / FILE, Screening, f"Move it elsewhere: {REWRITE_REMEDY}")
