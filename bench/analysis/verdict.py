"""Which backbone to take, and how sure that is: the sentence that a report opens with.

Only pretrained backbones that finished take part, on the seeds that all of them finished. Their
accuracies are those of the table. Who is within the margin of the best, worse or undecided is said
once, here; every report only renders it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis import verdict_text
from bench.analysis.comparable import contenders, differences, eligible
from bench.analysis.cost import cheapest, timing_drift
from bench.analysis.findings import Findings
from bench.analysis.statistics.margin import Place, Placement, place
from bench.analysis.statistics.pairwise import Comparison, compare_all, paired_differences
from bench.analysis.statistics.ranking import stability
from bench.analysis.statistics.ties import letters, tie_groups


@dataclass(frozen=True)
class Standing:
    """One backbone among those that are compared, on the seeds that all have."""

    label: str
    accuracy: float
    low: float  # of the accuracy, 95%, over seeds and test images
    high: float
    place: Place
    behind: float = 0.0  # the best's accuracy less its own
    could_be: float = 0.0  # how far behind any other at most, by the 95% intervals
    images_to_decide: int | None = None  # where undecided: so many test images would decide
    seeds_to_decide: int | None = None  # the same where more images would not
    first: float | None = None  # how often it is first with other seeds and images, in tenths
    ties: str = ""  # those that share a letter do not differ significantly


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
    beats: float  # how often `better` is ahead with other seeds and images, in tenths
    differ: bool  # significantly, over all pairs


@dataclass(frozen=True)
class Verdict:
    """The answer, in words and as data. Without a `best`, the sentence says why there is none."""

    sentence: str
    certainty: str = ""  # from what, and how stable the order is
    best: str | None = None  # the most accurate
    recommended: str | None = None  # the cheapest of it and those within the margin
    cheapest_by: str = ""
    margin: float = 0.01  # a share: 0.01 is one percentage point
    standings: tuple[Standing, ...] = ()  # the best first
    pairs: tuple[Pair, ...] = ()
    images: int = 0
    seeds: tuple[int, ...] = ()  # that all have
    differences: tuple[str, ...] = ()  # what the trials do not share, where nothing is ranked

    def placed(self, *places: Place) -> tuple[str, ...]:
        """The labels of those that stand there, the best first."""
        return tuple(s.label for s in self.standings if s.place in places)

    @property
    def tested(self) -> bool:
        """Whether the pairwise test says anything: from two seeds nearly all would tie, and only
        the intervals are shown."""
        return len(self.pairs) > 0 and len(self.seeds) != 2

    @property
    def not_significant(self) -> tuple[str, ...]:
        """The others of which the pairwise test finds no difference from the best."""
        alike = (p.other for p in self.pairs if p.better == self.best and not p.differ)
        return tuple(alike) if self.tested else ()

    @property
    def redrawn(self) -> str:
        """What is drawn anew for how often one is first: `first` and `beats`."""
        return "other test images" if len(self.seeds) == 1 else "other test images and seeds"


def verdict(findings: Findings) -> Verdict:
    """Compare all that can be compared."""
    if not eligible(findings.scores):
        return Verdict("No pretrained backbone finished, so there is none to recommend.")
    if unlike := differences(findings.scores):
        return Verdict(
            f"Nothing is ranked: the trials differ in {', and in '.join(unlike)}.",
            differences=tuple(unlike),
        )
    trials = right_answers(findings)
    labels = list(trials)
    seeds = tuple(sorted(trials[labels[0]]))
    answers = np.stack([[trials[label][seed] for seed in seeds] for label in labels])
    apart = paired_differences(answers)
    placed = place(answers, findings.margin, apart)
    rows = findings.backbones.set_index("label")
    result = Verdict(
        "",
        best=labels[0],
        recommended=labels[0],
        margin=findings.margin,
        standings=tuple(
            _standing(row, one)
            for (_, row), one in zip(rows.loc[labels].iterrows(), placed, strict=True)
        ),
        images=answers.shape[-1],
        seeds=seeds,
    )
    if len(labels) == 1:
        return replace(result, sentence=verdict_text.alone(result))
    result = _with_pairs(result, answers, compare_all(answers, apart))
    choice = [s.label for s in result.standings if s.place in ("best", "within")]
    drift = timing_drift(r for label in choice for r in findings.records[label])
    least = cheapest(rows.loc[choice], drift)
    if least is not None:
        result = replace(result, recommended=least.label, cheapest_by=least.by)
    everyone = {c.record.trial.seed for c in eligible(findings.scores)}
    return replace(
        result,
        sentence=verdict_text.sentence(result, least),
        certainty=verdict_text.certainty(result, len(everyone)),
    )


def right_answers(findings: Findings) -> dict[str, dict[int, NDArray[np.bool_]]]:
    """Which test images were right, by label in the order of the table and by seed."""
    found: dict[str, dict[int, NDArray[np.bool_]]] = {}
    for one in contenders(findings.scores):
        found.setdefault(one.label, {})[one.record.trial.seed] = one.guesses.right
    return {label: found[label] for label in findings.backbones["label"] if label in found}


def _standing(row: pd.Series, placed: Placement) -> Standing:
    return Standing(
        label=str(row.name),
        accuracy=float(row["accuracy"]),
        low=float(row["accuracy_low"]),
        high=float(row["accuracy_high"]),
        place=placed.place,
        behind=placed.behind,
        could_be=placed.could_be,
        images_to_decide=placed.images,
        seeds_to_decide=placed.seeds,
    )


def _with_pairs(
    result: Verdict, answers: NDArray[np.bool_], compared: tuple[Comparison, ...]
) -> Verdict:
    labels = [standing.label for standing in result.standings]
    # What would be drawn is too sure of small differences: tenths are what it is good for.
    stable = stability(answers)
    pairs = tuple(
        Pair(
            labels[c.first],
            labels[c.second],
            c.difference,
            c.low,
            c.high,
            c.p,
            c.adjusted,
            round(float(stable.beats[c.first, c.second]), 1),
            c.differ,
        )
        for c in compared
    )
    result = replace(result, pairs=pairs)
    groups = tie_groups(len(labels), [(c.first, c.second) for c in compared if c.differ])
    ties = letters(len(labels), groups if result.tested else [])
    standings = tuple(
        replace(standing, first=round(float(first), 1), ties=letter)
        for standing, first, letter in zip(result.standings, stable.first, ties, strict=True)
    )
    return replace(result, standings=standings)
