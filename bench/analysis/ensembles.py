"""Ensembles of a run's backbones: the mean of their stored probabilities.

The networks of one seed are averaged, seed by seed, so that an ensemble costs the sum of its
members and is compared over seeds and images as a backbone is. Ensembles are chosen by validation
loss. The best of many would look better by chance on the images that chose it, so only the test
accuracy of the chosen ensemble counts; those shown for the others decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from operator import attrgetter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.metrics.classification import Floats, labels_and_probabilities
from bench.analysis.scores import Contender
from bench.analysis.statistics.intervals import (
    Accuracy,
    Correct,
    difference_interval,
    paired_difference,
)
from bench.analysis.verdict import Verdict
from bench.storage.records import TEST_ARRAYS, StoredRun
from bench.training.losses import log_losses

MAX_PAIRS = 5  # pairs with a test accuracy; the others have a validation loss only
MAX_MEMBERS = 5  # of the greedy ensemble

# Probabilities of the true class of each validation image: backbones, seeds, images.
TrueProbabilities = Sequence[Sequence[Floats]]


@dataclass(frozen=True)
class HeldOutResult:
    """The accuracy on the test images, and its lead over a baseline, with 95% intervals."""

    accuracy: float
    low: float
    high: float
    lead: float
    lead_low: float
    lead_high: float

    @classmethod
    def from_correct(cls, own: Correct, baseline: Correct) -> HeldOutResult:
        """Compute the accuracy and the lead from correct predictions (seeds, images)."""
        lead = paired_difference(own, baseline)
        seeds, images = own.shape
        accuracy = Accuracy.from_correct(own)
        leads = (lead.mean, *difference_interval(lead, images, seeds))
        return cls(accuracy.value, accuracy.low, accuracy.high, *map(float, leads))


@dataclass(frozen=True)
class Ensemble:
    """An ensemble of one or more backbones."""

    members: tuple[str, ...]  # in the order of the table
    val_loss: float
    latency_ms: float | None  # sum of the members' medians, as if one ran after the other
    params: float  # sum over the members
    held_out: HeldOutResult | None = None

    @property
    def label(self) -> str:
        return " + ".join(self.members)


@dataclass(frozen=True)
class Ensembles:
    """The ensembles of a run, next to its best single backbones."""

    best_single: Ensemble  # the most accurate backbone
    lowest_loss_single: Ensemble  # the backbone with the lowest validation loss
    shown: tuple[Ensemble, ...]  # the best pairs and the greedy ensemble, the lowest loss first
    others: tuple[Ensemble, ...]  # the other pairs, without a test accuracy
    chosen: Ensemble | None  # None: no ensemble has a lower loss than every single backbone

    @property
    def better_than_best(self) -> Ensemble | None:
        """Return the chosen ensemble if it is significantly better than the best backbone."""
        result = self.chosen.held_out if self.chosen is not None else None
        return self.chosen if result is not None and result.lead_low > 0 else None


def ensembles(
    run: StoredRun,
    compared: Mapping[str, Sequence[Contender]],
    backbones: pd.DataFrame,
    verdict: Verdict,
) -> Ensembles | None:
    """Evaluate every pair of the compared backbones, and a larger ensemble built greedily.

    `None` with fewer than two backbones, or without validation probabilities of all seeds.
    """
    labels = [standing.label for standing in verdict.standings]
    trials = [compared[label] for label in labels]
    true = [
        [one.true_probabilities for one in seeds if one.true_probabilities is not None]
        for seeds in trials
    ]
    if len(labels) < 2 or any(len(seeds) < len(verdict.seeds) for seeds in true):
        return None
    if len({len(one) for seeds in true for one in seeds}) > 1:
        return None
    rows = backbones.set_index("label").loc[labels]
    latencies, params = rows["latency_p50_ms"].to_numpy(), rows["params"].to_numpy()

    def ensemble(members: Sequence[int], loss: float) -> Ensemble:
        indices = sorted(members)
        latency = float(latencies[indices].sum())
        return Ensemble(
            tuple(labels[i] for i in indices),
            loss,
            None if np.isnan(latency) else latency,
            float(params[indices].sum()),
        )

    single_losses = [_mean_loss(seeds) for seeds in true]
    by_loss = attrgetter("val_loss")
    pairs = sorted((ensemble(*pair) for pair in _pair_losses(true)), key=by_loss)
    shown = {one.members: one for one in pairs[:MAX_PAIRS]}
    if len(members := _select_greedily(true, single_losses)) > 1:
        greedy = ensemble(members, _mean_loss(_total(true, members) / len(members)))
        shown.setdefault(greedy.members, greedy)
    lowest = int(np.argmin(single_losses))
    candidates = [ensemble([0], single_losses[0]), *sorted(shown.values(), key=by_loss)]
    by_label = dict(zip(labels, trials, strict=True))
    best_single, *tested = _with_test_results(run, by_label, candidates)
    return Ensembles(
        best_single,
        ensemble([lowest], single_losses[lowest]),
        tuple(tested),
        tuple(pair for pair in pairs if pair.members not in shown),
        tested[0] if tested[0].val_loss < single_losses[lowest] else None,
    )


def _mean_loss(true: Floats | Sequence[Floats]) -> float:
    """Return the mean loss over seeds, from probabilities of the true class (seeds, images)."""
    return float(log_losses(np.asarray(true)).mean(axis=-1).mean())


def _total(true: TrueProbabilities, members: Sequence[int]) -> Floats:
    total: Floats = np.sum([true[i] for i in members], axis=0)
    return total


def _pair_losses(true: TrueProbabilities) -> list[tuple[tuple[int, int], float]]:
    """Return each pair of backbones with its validation loss."""
    pairs = combinations(range(len(true)), 2)
    return [(pair, _mean_loss(_total(true, pair) / 2)) for pair in pairs]


def _select_greedily(true: TrueProbabilities, single_losses: Sequence[float]) -> list[int]:
    """Select members: first the lowest loss, then repeatedly the one that lowers the loss most.

    No member is added twice: the weights are equal, so the names of the members define an ensemble.
    """
    lowest, first = min((loss, i) for i, loss in enumerate(single_losses))
    members = [first]
    while len(members) < MAX_MEMBERS:
        total, count = _total(true, members), len(members) + 1
        others = [i for i in range(len(true)) if i not in members]
        losses = [(_mean_loss((total + true[i]) / count), i) for i in others]
        loss, best = min(losses, default=(lowest, first))
        if not loss < lowest:
            break
        members.append(best)
        lowest = loss
    return members


def _with_test_results(
    run: StoredRun, trials: Mapping[str, Sequence[Contender]], candidates: Sequence[Ensemble]
) -> list[Ensemble]:
    """Return the candidates with their test results; leads are over the first candidate."""
    by_seed = [dict(zip(trials, one, strict=True)) for one in zip(*trials.values(), strict=True)]
    # Ensembles, seeds, images.
    correct = np.stack([_correct_by_ensemble(run, seed, candidates) for seed in by_seed], axis=1)
    return [
        replace(candidate, held_out=HeldOutResult.from_correct(own, correct[0]))
        for candidate, own in zip(candidates, correct, strict=True)
    ]


def _correct_by_ensemble(
    run: StoredRun, trials: Mapping[str, Contender], candidates: Sequence[Ensemble]
) -> NDArray[np.bool_]:
    """Return which test images each ensemble predicts correctly, for one seed (ensembles, images).

    The probabilities of each member are read once, and only sums are kept in memory.
    """
    labels = next(iter(trials.values())).predictions.labels
    sums = np.zeros((len(candidates), len(labels), len(run.dataset.classes)))
    for label, one in trials.items():
        indices = [i for i, ensemble in enumerate(candidates) if label in ensemble.members]
        if indices:
            found = labels_and_probabilities(run.evidence_of(one.record, TEST_ARRAYS), "test")
            assert found is not None  # a contender has usable probabilities
            for i in indices:
                sums[i] += found[1]
    correct: NDArray[np.bool_] = sums.argmax(axis=2) == labels
    return correct
