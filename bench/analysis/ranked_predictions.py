"""The test predictions that a choice is based on: those stored after training, of all seeds, or
those of a runtime, of the one model that it ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.analysis.findings import Findings
from bench.analysis.runtimes import RuntimeFigures
from bench.analysis.statistics.intervals import Accuracy, Correct
from bench.analysis.statistics.pairwise import compare_all


@dataclass(frozen=True)
class Lead:
    """The difference in accuracy between two backbones, with its 95% interval."""

    value: float
    low: float
    high: float
    may_be_chance: bool  # no significant difference


@dataclass(frozen=True)
class RankedPredictions:
    """The predictions of each backbone that may be ranked and has them, by label."""

    correct: Mapping[str, Correct]  # seeds, test images
    accuracy: Mapping[str, Accuracy]
    seed: Mapping[str, int]  # of the model that the runtime ran; empty: all seeds
    leads: Mapping[tuple[str, str], Lead]  # of the first over the second

    def lead(self, label: str, over: str) -> Lead | None:
        """Return the lead of `label` over the label `over`; `None` if they were not compared."""
        if found := self.leads.get((label, over)):
            return found
        if found := self.leads.get((over, label)):
            return Lead(-found.value, -found.high, -found.low, found.may_be_chance)
        return None


def predictions_after_training(findings: Findings) -> RankedPredictions:
    """Return the predictions stored after training, of all seeds, as the verdict uses them."""
    verdict = findings.verdict
    return RankedPredictions(
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


def predictions_of_runtime(
    findings: Findings, figures: Mapping[str, RuntimeFigures]
) -> RankedPredictions:
    """Return the predictions of a runtime, with the one model of each backbone that it ran.

    `figures` are those of the runtime, by label.
    """
    ran = {label: figures[label] for label in findings.compared if label in figures}
    correct = {label: one.correct[None] for label, one in ran.items() if one.correct is not None}
    pairs = compare_all(np.stack(list(correct.values()))) if correct else ()
    labels = list(correct)
    return RankedPredictions(
        correct=correct,
        accuracy={label: Accuracy.from_correct(each) for label, each in correct.items()},
        seed={label: ran[label].seed for label in correct},
        leads={
            (labels[p.first], labels[p.second]): Lead(p.difference, p.low, p.high, not p.differ)
            for p in pairs
        },
    )
