"""The recommendation of a run and its certainty, as data and as the first sentences of a report.

Only pretrained backbones that finished take part, on the seeds that all of them finished. Their
accuracies are those of the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.cost import Cheapest, cheapest, timing_drift
from bench.analysis.scores import Contender, Score, contenders, ranking_obstacles
from bench.analysis.statistics.intervals import Correct
from bench.analysis.statistics.margin import Place, place
from bench.analysis.statistics.pairwise import (
    PairComparison,
    compare_all,
    paired_differences,
    stability,
    tie_groups,
    tie_letters,
)
from bench.types import Record

MAX_SENTENCE = 2000  # characters; only very long names exceed it
MAX_NAMED = 8
MAX_UNDECIDED = 4  # that are named, each with two figures


@dataclass(frozen=True)
class Standing:
    """The result of one compared backbone, on the seeds that all of them finished."""

    label: str
    accuracy: float
    low: float  # ends of the 95% interval over seeds and test images
    high: float
    place: Place
    behind: float = 0.0  # accuracy of the best less its own
    could_be: float = 0.0  # how far it could be behind any other, by the 95% intervals
    images_to_decide: int | None = None  # if undecided: test images that would decide
    seeds_to_decide: int | None = None  # if undecided: seeds, if no number of images would decide
    first: float | None = None  # P(first) with other seeds and images, to the tenth
    ties: str = ""  # letters; backbones that share one do not differ significantly


@dataclass(frozen=True)
class Pair:
    """Two compared backbones; `better` has the higher accuracy, or comes first in the table."""

    better: str
    other: str
    difference: float  # in accuracy
    low: float  # ends of the 95% interval of the difference, uncorrected
    high: float
    p: float  # uncorrected
    p_holm: float  # corrected over all pairs, after Holm
    beats: float  # P(`better` is ahead) with other seeds and images, to the tenth
    differ: bool  # significantly, corrected over all pairs


@dataclass(frozen=True)
class Verdict:
    """The recommendation, as text and as data."""

    sentence: str
    lead: str = ""  # the beginning of the sentence: which is best, and which to take
    certainty: str = ""  # what it is based on, and how stable the order is
    best: str | None = None  # the most accurate; None: nothing is ranked, `sentence` says why
    recommended: str | None = None  # the cheapest of the best and those within the margin
    cheapest_by: str = ""  # the cost in which it is the cheapest
    margin: float = 0.01  # fraction, 0.01 is one point
    standings: tuple[Standing, ...] = ()  # the best first
    pairs: tuple[Pair, ...] = ()
    images: int = 0  # test images
    seeds: tuple[int, ...] = ()  # that all compared backbones finished
    differences: tuple[str, ...] = ()  # between the trials, if they prevent a ranking

    def placed(self, *places: Place) -> tuple[str, ...]:
        """Return the labels with one of these places, the best first."""
        return tuple(s.label for s in self.standings if s.place in places)

    @property
    def largest_loss(self) -> float:
        """Return how far the recommended backbone could be behind any other, by the intervals."""
        return max((s.could_be for s in self.standings if s.label == self.recommended), default=0.0)

    @property
    def tested(self) -> bool:
        """Return whether the pairwise tests are meaningful.

        With two seeds nearly all pairs would tie, so only intervals are shown.
        """
        return len(self.pairs) > 0 and len(self.seeds) != 2

    @property
    def not_significant(self) -> tuple[str, ...]:
        """Return the backbones without a significant difference from the best."""
        alike = (p.other for p in self.pairs if p.better == self.best and not p.differ)
        return tuple(alike) if self.tested else ()

    @property
    def ahead(self) -> frozenset[tuple[str, str]]:
        """Return the pairs whose 95% interval shows that the first is more accurate."""
        return frozenset((p.better, p.other) for p in self.pairs if p.low > 0)

    @property
    def redrawn(self) -> str:
        """Return what is resampled to compute `first` and `beats`, as text."""
        return "other test images" if len(self.seeds) == 1 else "other test images and seeds"


def verdict(
    scores: Sequence[Score],
    compared: Mapping[str, Sequence[Contender]],
    records: Mapping[str, Sequence[Record]],
    backbones: pd.DataFrame,
    margin: float,
) -> Verdict:
    """Return the verdict on the `compared` trials, which are by label, the best first.

    `scores`, `records` and `backbones` have all trials of the run; `margin` is a fraction.
    """
    if not compared:
        return Verdict("No pretrained backbone finished, so there is none to recommend.")
    if obstacles := ranking_obstacles(scores):
        return Verdict(
            f"Nothing is ranked: the trials differ in {', and in '.join(obstacles)}.",
            differences=tuple(obstacles),
        )
    labels, trials = list(compared), list(compared.values())
    correct = np.stack([[one.predictions.correct for one in each] for each in trials])
    apart = paired_differences(correct)
    rows = backbones.set_index("label")
    figures = rows.loc[labels, ["accuracy", "accuracy_low", "accuracy_high"]].to_numpy(float)
    placed = zip(labels, figures.tolist(), place(correct, margin, apart), strict=True)
    result = Verdict(
        "",
        best=labels[0],
        recommended=labels[0],
        margin=margin,
        standings=tuple(
            Standing(label, mean, low, high, p.place, p.behind, p.could_be, p.images, p.seeds)
            for label, (mean, low, high), p in placed
        ),
        images=correct.shape[-1],
        seeds=tuple(one.record.trial.seed for one in trials[0]),
    )
    if len(labels) == 1:
        return replace(result, sentence=_alone(result))
    result = _with_pairs(result, correct, compare_all(correct, apart))
    least, least_of_all = (
        cheapest(rows.loc[some], timing_drift(r for label in some for r in records[label]))
        for some in (list(result.placed("best", "within")), labels)
    )
    if least is not None:
        result = replace(result, recommended=least.label, cheapest_by=least.by)
    everyone = {one.record.trial.seed for one in contenders(scores)}
    lead = _lead(result, least, least_of_all)
    return replace(
        result,
        sentence=" ".join([lead, *_reservations(result)]),
        lead=lead,
        certainty=_certainty(result, len(everyone)),
    )


def _with_pairs(result: Verdict, correct: Correct, compared: tuple[PairComparison, ...]) -> Verdict:
    """Add the pairs, the tie letters and how stable the order is."""
    labels = [standing.label for standing in result.standings]
    # Resampling overstates small differences: it is accurate to about a tenth.
    stable = stability(correct)
    pairs = tuple(
        Pair(
            labels[c.first],
            labels[c.second],
            *(c.difference, c.low, c.high, c.p, c.p_holm),
            round(float(stable.beats[c.first, c.second]), 1),
            c.differ,
        )
        for c in compared
    )
    result = replace(result, pairs=pairs)
    groups = tie_groups(len(labels), [(c.first, c.second) for c in compared if c.differ])
    ties = tie_letters(len(labels), groups if result.tested else [])
    standings = tuple(
        replace(standing, first=round(float(first), 1), ties=letter)
        for standing, first, letter in zip(result.standings, stable.first, ties, strict=True)
    )
    return replace(result, standings=standings)


def _alone(verdict: Verdict) -> str:
    """Describe a run with one ranked backbone."""
    (standing,) = verdict.standings
    return (
        f"{standing.label} is the only pretrained backbone that finished "
        f"({fmt.percent(standing.accuracy)}), so there is nothing to compare it with."
    )


def _lead(verdict: Verdict, least: Cheapest | None, least_of_all: Cheapest | None) -> str:
    """Say which is best, which are within the margin, and which to take."""
    best = verdict.standings[0]
    accuracy = fmt.with_interval(best.accuracy, best.low, best.high)
    return f"{best.label} is best, {accuracy}. {_advice(verdict, least, least_of_all)}"


def _reservations(verdict: Verdict) -> Iterator[str]:
    """Say which are undecided, which are worse, and what one seed means."""
    if undecided := [s for s in verdict.standings if s.place == "undecided"]:
        names = [
            f"{s.label} ({100 * s.behind:.1f} behind, could be {_tenth_up(s.could_be)})"
            for s in undecided[:MAX_UNDECIDED]
        ]
        if more := len(undecided) - len(names):
            names.append(f"{more} more")
        yield f"Undecided: {', '.join(names)}; {_what_would_decide(verdict, undecided)}."
    if worse := verdict.placed("worse"):
        yield f"Worse: {join_names(worse)}."
    if len(verdict.seeds) == 1:
        yield "One seed: this compares the trained networks, not the backbones."


def _advice(verdict: Verdict, least: Cheapest | None, least_of_all: Cheapest | None) -> str:
    within, margin = verdict.placed("within"), fmt.points(verdict.margin)
    if not within and least_of_all is not None and least_of_all.label == verdict.best:
        return f"Take {verdict.best}, also the cheapest ({least_of_all.cost})."
    if not within:
        return f"Take {verdict.best}: no cheaper one is shown to be within {margin}."
    text = f"Within {margin} of it: {join_names(within)};"
    if least is None:
        return f"{text} take {verdict.best}, because no cost is known of all of them."
    if least.label == verdict.best:
        return f"{text} take {least.label}, also the cheapest ({least.cost})."
    loss = _tenth_up(verdict.largest_loss)
    return (
        f"{text} take {least.label}, the cheapest ({least.cost}), at most {loss} points less "
        f"accurate by the 95% intervals."
    )


def _tenth_up(fraction: float) -> str:
    """Format points rounded up, so that a value above the margin reads as above it."""
    return f"{ceil(1000 * fraction) / 10:.1f}"


def _what_would_decide(verdict: Verdict, undecided: Sequence[Standing]) -> str:
    """Say how many images would decide, or how many seeds if no number of images would."""
    images = [s.images_to_decide for s in undecided if s.images_to_decide is not None]
    seeds = [s.seeds_to_decide for s in undecided if s.seeds_to_decide is not None]
    parts = []
    if images:
        parts.append((f"about {_range(images)} test images would decide", len(images)))
    if seeds:
        text = f"more test images cannot decide, about {_range(seeds)} seeds would"
        parts.append((text, len(seeds)))
    if left := len(undecided) - len(images) - len(seeds):
        what = "test images" if len(verdict.seeds) == 1 else "test images or seeds"
        parts.append((f"more {what} would hardly decide", left))
    if len(parts) == 1:
        return parts[0][0]
    return "; ".join(f"{text} ({count} of these)" for text, count in parts)


def _range(numbers: Sequence[int]) -> str:
    least, most = fmt.rough(min(numbers)), fmt.rough(max(numbers))
    return least if least == most else f"{least} to {most}"


def _certainty(verdict: Verdict, all_seeds: int) -> str:
    """Say what the verdict is based on, and how stable the order is."""
    seeds, others = len(verdict.seeds), len(verdict.standings) - 1
    over = "one seed" if seeds == 1 else f"{seeds} seeds"
    text = f"From paired 95% intervals on {verdict.images:,} test images and {over}"
    if others > 1:
        text += f"; worse is Holm-corrected over the {others} comparisons with the best"
    ahead = sorted(verdict.standings, key=lambda s: -(s.first or 0.0))[:2]
    drawn = " and ".join(f"{s.label} {fmt.about(s.first or 0.0)}" for s in ahead)
    text += f". P(first), with {verdict.redrawn}: {drawn}."
    if seeds < all_seeds:
        text += f" Compared on the {seeds} of {all_seeds} seeds that all of them finished."
    if seeds == 2:
        text += " Two seeds show too little for a test: read the intervals, or train three or more."
    return text


def place_text(standing: Standing, margin: float) -> str:
    """Return the place in a word or two, for a table."""
    return f"within {fmt.points(margin)}" if standing.place == "within" else standing.place


def join_names(names: Sequence[str]) -> str:
    """Join names with commas and "and"; those beyond `MAX_NAMED` are counted."""
    shown = list(names[:MAX_NAMED])
    if (more := len(names) - MAX_NAMED) > 0:
        shown = [*shown, f"{more} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
