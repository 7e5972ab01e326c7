"""The answers to choose a backbone by: those after training, over all seeds, or those of a runtime,
of the one model that it ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.findings import Findings
from bench.analysis.scores import right_answers
from bench.analysis.statistics.intervals import Accuracy
from bench.analysis.statistics.pairwise import compare_all


@dataclass(frozen=True)
class Lead:
    """The difference in accuracy between two backbones, with its 95% interval."""

    value: float
    low: float
    high: float
    may_be_chance: bool  # no significant difference


@dataclass(frozen=True)
class RankedAnswers:
    """The answers of each backbone that may be ranked and has them, by label."""

    right: Mapping[str, NDArray[np.bool_]]  # seeds, test images
    accuracy: Mapping[str, Accuracy]
    seed: Mapping[str, int]  # of the one model that answered; empty if all seeds did
    leads: Mapping[tuple[str, str], Lead]  # of the first over the second

    def lead(self, label: str, over: str) -> Lead | None:
        """Return how far one is ahead of the other, whichever came first in the table."""
        if found := self.leads.get((label, over)):
            return found
        if found := self.leads.get((over, label)):
            return Lead(-found.value, -found.high, -found.low, found.may_be_chance)
        return None


def of_training(findings: Findings) -> RankedAnswers:
    """Return what the verdict is based on: the answers after training, of all seeds."""
    verdict = findings.verdict
    answers = right_answers(findings.scores, [s.label for s in verdict.standings])
    return RankedAnswers(
        right={
            label: np.stack([seeds[n] for n in verdict.seeds]) for label, seeds in answers.items()
        },
        accuracy={s.label: Accuracy(s.accuracy, s.low, s.high) for s in verdict.standings},
        seed={},
        leads={
            (p.better, p.other): Lead(p.difference, p.low, p.high, not p.differ)
            for p in verdict.pairs
        },
    )


def of_runtime(findings: Findings, runtime: str) -> RankedAnswers:
    """Return the same for the answers of `runtime` itself, of the one model that it ran."""
    right: dict[str, NDArray[np.bool_]] = {}
    seed: dict[str, int] = {}
    ranked = {standing.label for standing in findings.verdict.standings}
    for found in findings.runtimes:
        if found.runtime == runtime and found.label in ranked and found.right is not None:
            right[found.label], seed[found.label] = found.right[None], found.seed
    if not right:
        return RankedAnswers({}, {}, {}, {})
    labels = list(right)
    return RankedAnswers(
        right=right,
        accuracy={label: Accuracy.of(answers) for label, answers in right.items()},
        seed=seed,
        leads={
            (labels[c.first], labels[c.second]): Lead(c.difference, c.low, c.high, not c.differ)
            for c in compare_all(np.stack(list(right.values())))
        },
    )
