"""Which backbone to take, and how sure that is: the sentence that a report opens with.

Only pretrained backbones that finished take part, on the seeds that all of them finished, so that
everyone is judged alike. Being tied does not carry over from one to the next; the letters of
`Standing.ties` say who ties with whom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.report import format as fmt
from bench.report.comparable import Contender, contenders, differences
from bench.report.findings import Findings
from bench.statistics import intervals
from bench.statistics.pairwise import LEVEL, Comparison, compare_all
from bench.statistics.ranking import stability
from bench.statistics.ties import letters, tie_groups

MOST_NAMED = 8
COSTS: Sequence[tuple[str, str, Callable[[float], str]]] = (
    ("latency_p50_ms", "p50 latency", lambda ms: f"{fmt.milliseconds(ms)} at p50"),
    ("params", "parameters", lambda count: f"{fmt.count(count)} parameters"),
)


@dataclass(frozen=True)
class Standing:
    """One backbone among those that are compared, on the seeds that all have."""

    label: str
    accuracy: float
    low: float  # of the accuracy, 95%, over seeds and test images
    high: float
    first: float | None = None  # how often it is first with other seeds and images
    ties: str = ""  # tie groups: those that share a letter cannot be told apart


@dataclass(frozen=True)
class Pair:
    """Two that were compared; `better` has the higher accuracy, or came first in the table."""

    better: str
    other: str
    difference: float  # in accuracy
    low: float  # of the difference, 95%, for this pair alone
    high: float
    p: float  # that two equals lie as far apart, for this pair alone
    adjusted: float  # the same over all pairs, after Holm
    beats: float  # how often `better` is ahead with other seeds and images
    differ: bool  # whether the two can be told apart


@dataclass(frozen=True)
class Verdict:
    """The answer, in words and as data. Without a `best`, the sentence says why there is none."""

    sentence: str
    certainty: str = ""  # which test, on what, and how stable the order is
    best: str | None = None
    tied: tuple[str, ...] = ()  # the others that cannot be told apart from it
    cheapest: str | None = None  # of the best and those
    cheapest_by: str = ""
    standings: tuple[Standing, ...] = ()  # the best first
    pairs: tuple[Pair, ...] = ()
    images: int = 0
    seeds: tuple[int, ...] = ()  # that all have
    differences: tuple[str, ...] = ()  # what the trials do not share, where nothing is ranked


def verdict(findings: Findings) -> Verdict:
    """Compare all that can be compared."""
    found = contenders(findings.scores)
    if not found:
        return Verdict("No pretrained backbone finished, so there is none to recommend.")
    if unlike := differences(found):
        return Verdict(
            f"Nothing is ranked: the trials differ in {', and in '.join(unlike)}.",
            differences=tuple(unlike),
        )
    trials = _by_seed(findings, found)
    shared = sorted(set.intersection(*(set(seeds) for seeds in trials.values())))
    if not shared:
        return Verdict(
            f"The {len(trials)} pretrained backbones share no seed, so they are not compared.",
        )
    answers = np.stack([[seeds[s] for s in shared] for seeds in trials.values()])
    order = np.argsort(-answers.mean(axis=(1, 2)), kind="stable")
    labels = [list(trials)[i] for i in order]
    answers = answers[order]
    standings = _standings(labels, answers)
    result = Verdict(
        "", standings=standings, images=answers.shape[-1], seeds=tuple(shared), best=labels[0]
    )
    if len(labels) == 1:
        return replace(result, sentence=_alone(standings[0]))
    return _compared(findings, trials, result, answers)


def _by_seed(
    findings: Findings, found: Sequence[Contender]
) -> dict[str, dict[int, NDArray[np.bool_]]]:
    """Right or wrong, by label and seed, in the order of the table."""
    trials: dict[str, dict[int, NDArray[np.bool_]]] = {}
    for one in found:
        trials.setdefault(one.label, {})[one.record.trial.seed] = one.guesses.right
    return {label: trials[label] for label in findings.backbones["label"] if label in trials}


def _standings(labels: Sequence[str], answers: NDArray[np.bool_]) -> tuple[Standing, ...]:
    lows, highs = intervals.accuracy(answers)
    means = answers.mean(axis=(1, 2))
    return tuple(
        Standing(label, float(mean), float(low), float(high))
        for label, mean, low, high in zip(labels, means, lows, highs, strict=True)
    )


def _compared(
    findings: Findings,
    trials: Mapping[str, Mapping[int, NDArray[np.bool_]]],
    result: Verdict,
    answers: NDArray[np.bool_],
) -> Verdict:
    labels = [standing.label for standing in result.standings]
    compared = compare_all(answers)
    stable = stability(answers)
    groups = tie_groups(len(labels), [(c.first, c.second) for c in compared if c.differ])
    tied = tuple(labels[c.second] for c in compared if c.first == 0 and not c.differ)
    cheapest, by, cost = _cheapest(findings.backbones, [labels[0], *tied])
    result = replace(
        result,
        standings=tuple(
            replace(standing, first=float(first), ties=letter)
            for standing, first, letter in zip(
                result.standings, stable.first, letters(len(labels), groups), strict=True
            )
        ),
        pairs=tuple(_pair(labels, c, stable.beats) for c in compared),
        tied=tied,
        cheapest=cheapest,
        cheapest_by=by,
    )
    everyone = sorted({seed for seeds in trials.values() for seed in seeds})
    return replace(
        result,
        sentence=_sentence(result, cost),
        certainty=_certainty(result, len(everyone)),
    )


def _pair(labels: Sequence[str], c: Comparison, beats: NDArray[np.float64]) -> Pair:
    return Pair(
        labels[c.first],
        labels[c.second],
        c.difference,
        c.low,
        c.high,
        c.p,
        c.adjusted,
        float(beats[c.first, c.second]),
        c.differ,
    )


def _cheapest(backbones: pd.DataFrame, labels: Sequence[str]) -> tuple[str | None, str, str]:
    """Who costs least, by what, and how much; by latency where all were timed."""
    rows = backbones.set_index("label").loc[list(labels)]
    for name, what, show in COSTS:
        if rows[name].notna().all():
            return str(rows[name].idxmin()), what, show(float(rows[name].min()))
    return None, "", ""


def _alone(standing: Standing) -> str:
    return (
        f"{standing.label} is the only pretrained backbone that finished "
        f"({fmt.percent(standing.accuracy)}), so there is nothing to compare it with."
    )


def _sentence(result: Verdict, cost: str) -> str:
    first = result.standings[0]
    accuracy = f"{fmt.percent(first.accuracy)} ({fmt.interval(first.low, first.high)})"
    others = len(result.standings) - 1
    if not result.tied:
        whom = result.standings[1].label if others == 1 else f"all {others} others"
        return f"{first.label} is the best, with {accuracy}: it can be told apart from {whom}."
    if len(result.tied) == others > 1:
        whom = f"none of the {others} others can be told apart from it"
    else:
        whom = f"{_listed(result.tied)} cannot be told apart from it"
    text = f"{first.label} comes first with {accuracy}, but {whom}"
    if result.cheapest is None:
        return f"{text}."
    if result.cheapest == first.label:
        return f"{text}; it is also the cheapest of them ({cost})."
    return f"{text}; the cheapest of them is {result.cheapest} ({cost})."


def _certainty(result: Verdict, seeds_of_anyone: int) -> str:
    seeds, pairs = len(result.seeds), len(result.pairs)
    correction = f", Holm-corrected over {pairs} pairs" if pairs > 1 else ""
    if seeds == 1:
        test = f"McNemar's exact test on {result.images:,} test images and one seed"
        limits = " One seed tells the trained networks apart; more tell the backbones apart."
    else:
        test = (
            f"Exact paired permutation of {result.images:,} test images, with the spread of "
            f"{seeds} seeds added"
        )
        limits = " Two seeds show too little to tell much apart." if seeds == 2 else ""
    shared = (
        f" Compared on the {seeds} of {seeds_of_anyone} seeds that all of them finished."
        if seeds < seeds_of_anyone
        else ""
    )
    ahead = sorted(result.standings, key=lambda s: -(s.first or 0.0))[:2]
    drawn = " and ".join(f"{s.label} is first in {100 * (s.first or 0.0):.0f}%" for s in ahead)
    what = "other test images" if seeds == 1 else "other test images and seeds"
    return f"{test}{correction}, at {LEVEL:.0%}. With {what}, {drawn}.{shared}{limits}"


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:MOST_NAMED])
    if more := len(names) - MOST_NAMED:
        shown = [*shown, f"{more} more"] if more > 0 else shown
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
