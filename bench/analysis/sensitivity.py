"""How the learning rate changes the accuracy of each backbone, and whether it changes their order.

Computed from the rates that `--tune` tried, for pretrained backbones only: the accuracy of others
is meaningless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bench.analysis.metrics.classification import ScoredSplit
from bench.analysis.statistics.intervals import Correct
from bench.analysis.statistics.pairwise import LEVEL, holm, paired_p_value
from bench.storage.records import StoredRun
from bench.types import Record

SCORED_SPLITS: tuple[ScoredSplit, ...] = ("validation", "test")
ByRate = Mapping[float, Mapping[int, Correct]]  # by multiplier and seed


@dataclass(frozen=True)
class RateFigures:
    """One backbone at one multiple of the protocol's learning rates, means over the seeds."""

    multiplier: float
    chosen: int  # number of seeds that chose this rate
    diverged: int  # number of seeds whose training diverged
    val_loss: float | None
    val_accuracy: float | None
    test_accuracy: float | None  # not used to choose the rate


@dataclass(frozen=True)
class LeadAtRate:
    """The lead of one backbone over another at one learning rate."""

    multiplier: float
    by: float  # difference in accuracy; negative: behind
    p: float  # uncorrected


@dataclass(frozen=True)
class Flip:
    """Two backbones of which each is ahead of the other at some learning rate."""

    split: ScoredSplit
    first: str
    second: str
    ahead: LeadAtRate  # largest lead of `first`
    behind: LeadAtRate  # largest lead of `second`, as a negative lead of `first`
    p: float  # corrected over all rates and pairs

    @property
    def significant(self) -> bool:
        return self.p <= LEVEL


@dataclass(frozen=True)
class Sensitivity:
    """The results of all learning rates."""

    rates: Mapping[str, tuple[RateFigures, ...]]  # by label, the lowest rate first
    flips: tuple[Flip, ...]  # the widest first

    @property
    def at_the_edge(self) -> tuple[str, ...]:
        """Return the backbones of which a seed chose the lowest or highest rate tried."""
        return tuple(
            label for label, rates in self.rates.items() if rates[0].chosen or rates[-1].chosen
        )


def sensitivity(run: StoredRun, records: Mapping[str, Sequence[Record]]) -> Sensitivity | None:
    """Return the sensitivity to the learning rate; `None` if no trial was tuned."""
    if not any(record.tuning for of_label in records.values() for record in of_label):
        return None
    tuned = {
        label: [r for r in of_label if r.status == "ok" and r.pretrained and r.tuning]
        for label, of_label in records.items()
    }
    tuned = {label: of_label for label, of_label in tuned.items() if of_label}
    correct = {
        split: {label: _correct_by_rate(run, of_label, split) for label, of_label in tuned.items()}
        for split in SCORED_SPLITS
    }
    rates = {
        label: tuple(_at_rates(of_label, correct["test"][label]))
        for label, of_label in tuned.items()
    }
    flips = [flip for split in SCORED_SPLITS for flip in find_flips(split, correct[split])]
    flips.sort(key=lambda flip: -min(flip.ahead.by, -flip.behind.by))
    return Sensitivity(rates, tuple(flips))


def _correct_by_rate(
    run: StoredRun, records: Sequence[Record], split: ScoredSplit
) -> dict[float, dict[int, Correct]]:
    """Return which images of a split are correct, by multiplier and seed."""
    found: dict[float, dict[int, Correct]] = {}
    for record in records:
        arrays = run.evidence_of(record).arrays
        stored = arrays.get(f"tuning_{split}_probabilities")
        labels = arrays.get(f"{split}_labels")
        if stored is None or labels is None:
            continue
        for rate, probabilities in zip(record.tuning, stored, strict=True):
            if rate.val_loss is not None:
                correct = probabilities.argmax(axis=1) == labels
                found.setdefault(rate.multiplier, {})[record.trial.seed] = correct
    return found


def _at_rates(
    records: Sequence[Record], test: Mapping[float, Mapping[int, Correct]]
) -> Iterator[RateFigures]:
    for index, rate in enumerate(records[0].tuning):
        tried = [record.tuning[index] for record in records]
        by_seed = test.get(rate.multiplier, {})
        yield RateFigures(
            multiplier=rate.multiplier,
            chosen=sum(one.chosen for one in tried),
            diverged=sum(one.val_loss is None for one in tried),
            val_loss=_mean([one.val_loss for one in tried]),
            val_accuracy=_mean([one.val_accuracy for one in tried]),
            test_accuracy=_mean([float(correct.mean()) for correct in by_seed.values()]),
        )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def find_flips(split: ScoredSplit, correct: Mapping[str, ByRate]) -> list[Flip]:
    """Return the pairs of backbones whose order changes between two learning rates.

    A flip consists of two claims, ahead at one rate and behind at another, and both must be
    significant: each test is one-sided and corrected for the rates it was chosen from. Holm's
    correction covers all pairs, also those whose order does not change.
    """
    pairs = list(combinations(correct, 2))
    found: dict[tuple[str, str], tuple[LeadAtRate, LeadAtRate]] = {}
    chances = dict.fromkeys(pairs, 1.0)
    for pair in pairs:
        by_rate = _stack_shared_seeds(*(correct[label] for label in pair))
        by = {rate: float(one.mean() - other.mean()) for rate, (one, other) in by_rate.items()}
        if not by or max(by.values()) <= 0 or min(by.values()) >= 0:
            continue
        ahead, behind = (
            LeadAtRate(rate, by[rate], paired_p_value(*by_rate[rate]))
            for rate in (max(by, key=by.__getitem__), min(by, key=by.__getitem__))
        )
        found[pair] = ahead, behind
        chances[pair] = min(1.0, len(by) * max(ahead.p, behind.p) / 2)
    corrected = dict(zip(pairs, holm(list(chances.values())), strict=True))
    return [Flip(split, *pair, *leads, corrected[pair]) for pair, leads in found.items()]


def _stack_shared_seeds(first: ByRate, second: ByRate) -> dict[float, tuple[Correct, Correct]]:
    """Return the correct predictions of both at each rate, of the seeds that both have."""
    found = {}
    for rate in sorted(set(first) & set(second)):
        if common := sorted(set(first[rate]) & set(second[rate])):
            one = np.stack([first[rate][seed] for seed in common])
            other = np.stack([second[rate][seed] for seed in common])
            found[rate] = (one, other)
    return found
