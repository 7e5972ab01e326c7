"""Ensembles of a run's backbones: the mean of their probabilities, from what is stored of each.

A member is one network: the networks of one seed are averaged, seed by seed, so that an ensemble
costs the sum of its members and is compared over seeds and images as a backbone is. They are chosen
by validation loss. The best of so many would look better by chance on the images that chose it, so
the test images judge the chosen one alone; what is shown of the others decides nothing.
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
from bench.analysis.statistics.intervals import Accuracy, difference_interval, paired_difference
from bench.analysis.verdict import Verdict
from bench.storage.records import TEST_ARRAYS, StoredRun
from bench.training.losses import log_losses

MAX_PAIRS = 5  # that are judged; the others have a validation loss only
MAX_MEMBERS = 5  # of the greedy ensemble

OfTrue = Sequence[Sequence[Floats]]  # the true class's probability: backbones, seeds, images


@dataclass(frozen=True)
class Judgement:
    """The accuracy on the test images, and its lead over what it is compared with, with 95%
    intervals."""

    accuracy: float
    low: float
    high: float
    lead: float
    lead_low: float
    lead_high: float

    @classmethod
    def from_correct(cls, own: NDArray[np.bool_], other: NDArray[np.bool_]) -> Judgement:
        """Return that of answers (seeds, images), compared with others to the same images."""
        lead = paired_difference(own, other)
        seeds, images = own.shape
        found, ends = (
            Accuracy.from_correct(own),
            (lead.mean, *difference_interval(lead, images, seeds)),
        )
        return cls(found.value, found.low, found.high, *(float(end) for end in ends))


@dataclass(frozen=True)
class Ensemble:
    """Backbones whose probabilities are averaged, in the order of the table."""

    members: tuple[str, ...]
    val_loss: float
    latency_ms: float | None  # the sum of their medians: one after the other
    params: float
    judged: Judgement | None = None

    @property
    def label(self) -> str:
        return " + ".join(self.members)


@dataclass(frozen=True)
class Ensembles:
    """What averaging gives, next to the most accurate backbone alone."""

    best: Ensemble  # one member, as is the next
    lowest: Ensemble  # of the lowest validation loss
    shown: tuple[Ensemble, ...]  # the best pairs and the greedy ensemble, the lowest loss first
    others: tuple[Ensemble, ...]  # the other pairs, not judged
    chosen: Ensemble | None  # None: no ensemble has a lower loss than every backbone alone

    @property
    def gaining(self) -> Ensemble | None:
        """Return the chosen one if the test images show that it is better than the best alone."""
        chosen = self.chosen
        gains = chosen is not None and chosen.judged is not None and chosen.judged.lead_low > 0
        return chosen if gains else None


def ensembles(
    run: StoredRun,
    compared: Mapping[str, Sequence[Contender]],
    backbones: pd.DataFrame,
    verdict: Verdict,
) -> Ensembles | None:
    """Average every pair of the compared backbones, and greedily more; `None` without two."""
    labels = [standing.label for standing in verdict.standings]
    trials = [compared[label] for label in labels]
    of_true = [[one.of_true for one in seeds if one.of_true is not None] for seeds in trials]
    if len(labels) < 2 or any(len(seeds) < len(verdict.seeds) for seeds in of_true):
        return None
    if len({len(one) for seeds in of_true for one in seeds}) > 1:
        return None
    rows = backbones.set_index("label").loc[labels]
    latencies, params = rows["latency_p50_ms"].to_numpy(), rows["params"].to_numpy()

    def ensemble(members: Sequence[int], loss: float) -> Ensemble:
        places = sorted(members)
        latency = float(latencies[places].sum())
        return Ensemble(
            tuple(labels[i] for i in places),
            loss,
            None if np.isnan(latency) else latency,
            float(params[places].sum()),
        )

    alone = [_mean_loss(seeds) for seeds in of_true]
    by_loss = attrgetter("val_loss")
    pairs = sorted((ensemble(*pair) for pair in _pairs(of_true)), key=by_loss)
    shown = {one.members: one for one in pairs[:MAX_PAIRS]}
    if len(places := _greedy(of_true, alone)) > 1:
        greedy = ensemble(places, _mean_loss(_total(of_true, places) / len(places)))
        shown.setdefault(greedy.members, greedy)
    best = ensemble([0], alone[0])
    lowest = int(np.argmin(alone))
    of_label = dict(zip(labels, trials, strict=True))
    best, *judged = _judge(run, of_label, [best, *sorted(shown.values(), key=by_loss)])
    return Ensembles(
        best,
        ensemble([lowest], alone[lowest]),
        tuple(judged),
        tuple(pair for pair in pairs if pair.members not in shown),
        judged[0] if judged[0].val_loss < alone[lowest] else None,
    )


def _mean_loss(of_true: Floats | Sequence[Floats]) -> float:
    """Return the mean loss over seeds of probabilities (seeds, images)."""
    return float(log_losses(np.asarray(of_true)).mean(axis=-1).mean())


def _total(of_true: OfTrue, members: Sequence[int]) -> Floats:
    found: Floats = np.sum([of_true[i] for i in members], axis=0)
    return found


def _pairs(of_true: OfTrue) -> list[tuple[tuple[int, int], float]]:
    """Return the validation loss of each pair: it needs the true class's probability alone."""
    pairs = combinations(range(len(of_true)), 2)
    return [(pair, _mean_loss(_total(of_true, pair) / 2)) for pair in pairs]


def _greedy(of_true: OfTrue, alone: Sequence[float]) -> list[int]:
    """Begin with the lowest loss, and add what lowers it most as long as anything does.

    Each is taken once: with equal weights the members' names say all, for whoever uses it.
    """
    lowest, first = min((loss, place) for place, loss in enumerate(alone))
    members = [first]
    while len(members) < MAX_MEMBERS:
        total, count = _total(of_true, members), len(members) + 1
        others = [i for i in range(len(of_true)) if i not in members]
        losses = [(_mean_loss((total + of_true[i]) / count), i) for i in others]
        loss, best = min(losses, default=(lowest, first))
        if not loss < lowest:
            break
        members.append(best)
        lowest = loss
    return members


def _judge(
    run: StoredRun, trials: Mapping[str, Sequence[Contender]], candidates: Sequence[Ensemble]
) -> list[Ensemble]:
    """Add what the test images say of each; the first is what the others are compared with."""
    of_seeds = [dict(zip(trials, one, strict=True)) for one in zip(*trials.values(), strict=True)]
    # Ensembles, seeds, images.
    correct = np.stack([_correct_by_ensemble(run, seed, candidates) for seed in of_seeds], axis=1)
    return [
        replace(candidate, judged=Judgement.from_correct(own, correct[0]))
        for candidate, own in zip(candidates, correct, strict=True)
    ]


def _correct_by_ensemble(
    run: StoredRun, trials: Mapping[str, Contender], candidates: Sequence[Ensemble]
) -> NDArray[np.bool_]:
    """Return which test images each ensemble of one seed gets correct (ensembles, images); every
    member's answers are read once, and only their sums are held."""
    labels = next(iter(trials.values())).predictions.labels
    sums = np.zeros((len(candidates), len(labels), len(run.dataset.classes)))
    for label, one in trials.items():
        places = [i for i, ensemble in enumerate(candidates) if label in ensemble.members]
        if places:
            found = labels_and_probabilities(run.evidence_of(one.record, TEST_ARRAYS), "test")
            assert found is not None  # a contender has answers
            for i in places:
                sums[i] += found[1]
    correct: NDArray[np.bool_] = sums.argmax(axis=2) == labels
    return correct
