"""How each runtime did with each backbone: a row each, from the raw answers and durations.

Answers are held against those that training ended with. A conversion that failed is a row with its
reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Floats
from bench.analysis.metrics.latency import percentile, throughput
from bench.storage.records import Evidence
from bench.types import Record, RuntimeResult

REFERENCE = "keras"


@dataclass(frozen=True)
class Row:
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


def rows(findings: Findings) -> list[Row]:
    """The backbones in their order, each with its runtimes in the order they were measured."""
    found = []
    for label, records in findings.records.items():
        record = _measured(records)
        if record is not None:
            evidence = Evidence(record, findings.run.dataset.classes, findings.run.folder)
            found += [_row(label, evidence, result) for result in record.runtimes]
    return found


@dataclass(frozen=True)
class OwnAnswers:
    """Which test images a runtime had right, and the seed whose model it ran."""

    seed: int
    right: NDArray[np.bool_]


def right_answers(findings: Findings, runtime: str) -> dict[str, OwnAnswers]:
    """By label, where the runtime's own answers to all test images are stored and usable."""
    found = {}
    for label, records in findings.records.items():
        record = _measured(records)
        if record is None or not any(
            r.name == runtime and r.status == "ok" for r in record.runtimes
        ):
            continue
        evidence = Evidence(record, findings.run.dataset.classes, findings.run.folder)
        answered = _answered(evidence, runtime)
        if answered is not None:
            right = answered.argmax(axis=1) == evidence.arrays["test_labels"]
            found[label] = OwnAnswers(record.trial.seed, right)
    return found


def frame(found: Sequence[Row]) -> pd.DataFrame:
    """The rows as they go to `runtimes.csv`."""
    table = pd.DataFrame([asdict(row) for row in found])
    # A column without a figure must still be a column of numbers.
    return table.astype({f.name: "float64" for f in fields(Row) if "float" in str(f.type)})


def _measured(records: Sequence[Record]) -> Record | None:
    """The seed whose model was measured: the others share its times but not its answers."""
    with_runtimes = [r for r in records if r.status == "ok" and r.runtimes]
    own = [r for r in with_runtimes if not any("stands for all its seeds" in n for n in r.notes)]
    return next(iter(own or with_runtimes), None)


def _answered(evidence: Evidence, runtime: str) -> Floats | None:
    """What a runtime answered itself; of the reference that is what training ended with. A model
    that answers NaN has no accuracy, although `argmax` would give one."""
    name = "test_probabilities" if runtime == REFERENCE else f"probabilities_{runtime}"
    stored = evidence.arrays.get(name)
    if stored is None or len(stored) != len(evidence.arrays["test_labels"]):
        return None
    return stored if np.isfinite(stored).all() else None


def _row(label: str, evidence: Evidence, result: RuntimeResult) -> Row:
    if result.status != "ok":
        return Row(label, result.name, result.status, reason=result.reason)
    arrays = evidence.arrays
    trained, answered = _answered(evidence, REFERENCE), _answered(evidence, result.name)
    accuracy = agreement = difference = None
    if answered is not None:
        accuracy = float((answered.argmax(axis=1) == arrays["test_labels"]).mean())
    if answered is not None and trained is not None and result.name != REFERENCE:
        agreement = float((answered.argmax(axis=1) == trained.argmax(axis=1)).mean())
        difference = float(np.abs(answered - trained).max())
    return Row(
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
