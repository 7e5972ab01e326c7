"""The answers to choose a backbone by: those after training, over all seeds, or those of a runtime,
of the one model that it ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.findings import Findings
from bench.analysis.runtimes import RuntimeFigures
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

    correct: Mapping[str, NDArray[np.bool_]]  # seeds, test images
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
    return RankedAnswers(
        correct={
            label: np.stack([one.predictions.correct for one in trials])
            for label, trials in findings.compared.items()
        },
        accuracy={s.label: Accuracy(s.accuracy, s.low, s.high) for s in verdict.standings},
        seed={},
        leads={
            (p.better, p.other): Lead(p.difference, p.low, p.high, not p.differ)
            for p in verdict.pairs
        },
    )


def of_runtime(findings: Findings, timed: Mapping[str, RuntimeFigures]) -> RankedAnswers:
    """Return the same for the answers of a runtime itself, of the one model that it ran."""
    ran = {label: timed[label] for label in findings.compared if label in timed}
    correct = {label: one.correct[None] for label, one in ran.items() if one.correct is not None}
    pairs = compare_all(np.stack(list(correct.values()))) if correct else ()
    labels = list(correct)
    return RankedAnswers(
        correct=correct,
        accuracy={label: Accuracy.from_correct(answers) for label, answers in correct.items()},
        seed={label: ran[label].seed for label in correct},
        leads={
            (labels[p.first], labels[p.second]): Lead(p.difference, p.low, p.high, not p.differ)
            for p in pairs
        },
    )
