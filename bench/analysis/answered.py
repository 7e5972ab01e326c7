"""By which answers backbones are chosen: those of training over all seeds, or those that a runtime
gave itself, of the one model that it ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis import runtimes
from bench.analysis.findings import Findings
from bench.analysis.statistics import intervals
from bench.analysis.statistics.pairwise import compare_all
from bench.analysis.verdict import right_answers


@dataclass(frozen=True)
class Lead:
    """How much more accurate one is than another, with its 95% interval."""

    value: float
    low: float
    high: float
    may_be_chance: bool  # no significant difference


@dataclass(frozen=True)
class Accuracy:
    """A mean over seeds and test images, with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Answered:
    """Of each backbone that may be ranked and has such answers, by label."""

    right: Mapping[str, NDArray[np.bool_]]  # seeds, test images
    accuracy: Mapping[str, Accuracy]
    seed: Mapping[str, int]  # of the one model that answered; none where all seeds did
    leads: Mapping[tuple[str, str], Lead]  # of the first over the second

    def lead(self, label: str, over: str) -> Lead | None:
        """How far the one is ahead of the other, whichever came first in the table."""
        if found := self.leads.get((label, over)):
            return found
        if found := self.leads.get((over, label)):
            return Lead(-found.value, -found.high, -found.low, found.may_be_chance)
        return None


def of_training(findings: Findings) -> Answered:
    """What the verdict is about."""
    judged = findings.verdict
    answers = right_answers(findings)
    return Answered(
        right={
            s.label: np.stack([answers[s.label][n] for n in judged.seeds]) for s in judged.standings
        },
        accuracy={s.label: Accuracy(s.accuracy, s.low, s.high) for s in judged.standings},
        seed={},
        leads={
            (p.better, p.other): Lead(p.difference, p.low, p.high, not p.differ)
            for p in judged.pairs
        },
    )


def of_runtime(findings: Findings, runtime: str) -> Answered:
    """The same of what `runtime` answered: accuracy, intervals and pairs are about that alone."""
    ranked = {standing.label for standing in findings.verdict.standings}
    found = {
        label: one
        for label, one in runtimes.right_answers(findings, runtime).items()
        if label in ranked
    }
    if not found:
        return Answered({}, {}, {}, {})
    labels = list(found)
    answers = np.stack([one.right[None] for one in found.values()])
    lows, highs = intervals.accuracy(answers)
    return Answered(
        right=dict(zip(labels, answers, strict=True)),
        accuracy={
            label: Accuracy(float(mean), float(low), float(high))
            for label, mean, low, high in zip(
                labels, answers.mean(axis=(1, 2)), lows, highs, strict=True
            )
        },
        seed={label: one.seed for label, one in found.items()},
        leads={
            (labels[c.first], labels[c.second]): Lead(c.difference, c.low, c.high, not c.differ)
            for c in compare_all(answers)
        },
    )
