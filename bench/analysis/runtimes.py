"""Accuracy, agreement and latency of each runtime with each backbone, and the answers to choose by.

Answers are compared with those after training. A conversion that failed is a row with its reason. A
backbone is chosen by the answers after training, over all seeds, or by the answers of a runtime, of
the one model that it ran.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Floats
from bench.analysis.metrics.latency import percentile, throughput
from bench.analysis.scores import right_answers
from bench.analysis.statistics import intervals
from bench.analysis.statistics.pairwise import compare_all
from bench.storage.records import Evidence
from bench.types import Record, RuntimeResult

REFERENCE = "keras"


@dataclass(frozen=True)
class RuntimeFigures:
    """One runtime of one backbone; what was not measured is `None`."""

    label: str
    runtime: str
    status: str
    artefact_mb: float | None = None
    convert_seconds: float | None = None
    accuracy: float | None = None
    agreement: float | None = None  # the share of test images called the same as by Keras
    largest_difference: float | None = None  # of any probability of any test image
    latency_p50_ms: float | None = None
    latency_p90_ms: float | None = None
    images_per_second: float | None = None
    memory_mb: float | None = None
    reason: str = ""


def rows(findings: Findings) -> list[RuntimeFigures]:
    """Return the backbones in table order, each with its runtimes in the order measured."""
    found = []
    for label, records in findings.records.items():
        record = _measured(records)
        if record is not None:
            evidence = Evidence(record, findings.run.dataset.classes, findings.run.folder)
            found += [_row(label, evidence, result) for result in record.runtimes]
    return found


def _measured(records: Sequence[Record]) -> Record | None:
    """Return the seed whose model was measured: others share its times, not its answers."""
    with_runtimes = [r for r in records if r.status == "ok" and r.runtimes]
    own = [r for r in with_runtimes if not any("stands for all its seeds" in n for n in r.notes)]
    return next(iter(own or with_runtimes), None)


def _answered(evidence: Evidence, runtime: str) -> Floats | None:
    """Return the runtime's own answers; those of the reference are the ones after training. A model
    that answers NaN has no accuracy, although `argmax` would give one."""
    name = "test_probabilities" if runtime == REFERENCE else f"probabilities_{runtime}"
    stored = evidence.arrays.get(name)
    if stored is None or len(stored) != len(evidence.arrays["test_labels"]):
        return None
    return stored if np.isfinite(stored).all() else None


def _row(label: str, evidence: Evidence, result: RuntimeResult) -> RuntimeFigures:
    if result.status != "ok":
        return RuntimeFigures(label, result.name, result.status, reason=result.reason)
    arrays = evidence.arrays
    trained, answered = _answered(evidence, REFERENCE), _answered(evidence, result.name)
    accuracy = agreement = difference = None
    if answered is not None and evidence.record.pretrained:
        accuracy = float((answered.argmax(axis=1) == arrays["test_labels"]).mean())
    if answered is not None and trained is not None and result.name != REFERENCE:
        agreement = float((answered.argmax(axis=1) == trained.argmax(axis=1)).mean())
        difference = float(np.abs(answered - trained).max())
    return RuntimeFigures(
        label,
        result.name,
        result.status,
        artefact_mb=result.artefact_bytes / 1e6 if result.artefact else None,
        convert_seconds=result.convert_seconds if result.artefact else None,
        accuracy=accuracy,
        agreement=agreement,
        largest_difference=difference,
        latency_p50_ms=percentile(evidence, 50, result.name),
        latency_p90_ms=percentile(evidence, 90, result.name),
        images_per_second=throughput(evidence, result.name),
        memory_mb=None if result.memory_bytes is None else result.memory_bytes / 1e6,
        reason=result.reason,
    )


@dataclass(frozen=True)
class Lead:
    """The difference in accuracy between two backbones, with its 95% interval."""

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
    for label in (standing.label for standing in findings.verdict.standings):
        record = _measured(findings.records[label])
        if record is None or ("ok", runtime) not in ((r.status, r.name) for r in record.runtimes):
            continue
        evidence = Evidence(record, findings.run.dataset.classes, findings.run.folder)
        if (answered := _answered(evidence, runtime)) is not None:
            right[label] = (answered.argmax(axis=1) == evidence.arrays["test_labels"])[None]
            seed[label] = record.trial.seed
    if not right:
        return RankedAnswers({}, {}, {}, {})
    labels, answers = list(right), np.stack(list(right.values()))
    lows, highs = intervals.accuracy(answers)
    ends = zip(answers.mean(axis=(1, 2)), lows, highs, strict=True)
    return RankedAnswers(
        right=right,
        accuracy={label: Accuracy(*map(float, of)) for label, of in zip(labels, ends, strict=True)},
        seed=seed,
        leads={
            (labels[c.first], labels[c.second]): Lead(c.difference, c.low, c.high, not c.differ)
            for c in compare_all(answers)
        },
    )
