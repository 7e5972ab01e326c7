"""Accuracy, agreement and latency of each runtime with each backbone.

The predictions of a runtime are compared with those stored after training. A conversion that failed
is a row with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.classification import Floats
from bench.analysis.metrics.latency import percentile, throughput
from bench.storage.records import Evidence
from bench.types import REFERENCE, Record, RuntimeResult


@dataclass(frozen=True, slots=True)
class RuntimeFigures:
    """The figures of one runtime with one backbone; `None`: not measured."""

    label: str
    runtime: str
    status: str
    artefact_mb: float | None = None
    convert_seconds: float | None = None
    accuracy: float | None = None
    agreement: float | None = None  # fraction of test images with the same class as in Keras
    largest_difference: float | None = None  # from Keras, of any probability of any test image
    latency_p50_ms: float | None = None
    latency_p90_ms: float | None = None
    images_per_second: float | None = None
    memory_mb: float | None = None
    reason: str = ""
    seed: int = 0  # of the model that was measured
    correct: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)


def runtime_figures(label: str, evidence: Evidence) -> tuple[RuntimeFigures, ...]:
    """Return the figures of each runtime of one trial, in the order measured."""
    return tuple(_row(label, evidence, result) for result in evidence.record.runtimes)


def measured_record(records: Sequence[Record]) -> Record | None:
    """Return the record of the seed whose model was measured.

    The other seeds share its times, but not its predictions.
    """
    with_runtimes = [r for r in records if r.status == "ok" and r.runtimes]
    own = [r for r in with_runtimes if not r.stood_for]
    return next(iter(own or with_runtimes), None)


def _test_probabilities(evidence: Evidence, runtime: str) -> Floats | None:
    """Return the test probabilities of a runtime; for the reference, those stored after training.

    `None` if they are missing or not finite: NaN has no accuracy, although `argmax` would give one.
    """
    name = "test_probabilities" if runtime == REFERENCE else f"probabilities_{runtime}"
    stored = evidence.arrays.get(name)
    if stored is None or len(stored) != len(evidence.arrays["test_labels"]):
        return None
    return stored if np.isfinite(stored).all() else None


def _row(label: str, evidence: Evidence, result: RuntimeResult) -> RuntimeFigures:
    seed = evidence.record.trial.seed
    if result.status != "ok":
        return RuntimeFigures(label, result.name, result.status, reason=result.reason, seed=seed)
    arrays = evidence.arrays
    trained = _test_probabilities(evidence, REFERENCE)
    own = _test_probabilities(evidence, result.name)
    correct = agreement = difference = None
    if own is not None and evidence.record.pretrained:
        correct = own.argmax(axis=1) == arrays["test_labels"]
    if own is not None and trained is not None and result.name != REFERENCE:
        agreement = float((own.argmax(axis=1) == trained.argmax(axis=1)).mean())
        difference = float(np.abs(own - trained).max())
    return RuntimeFigures(
        label,
        result.name,
        result.status,
        artefact_mb=result.artefact_bytes / 1e6 if result.artefact else None,
        convert_seconds=result.convert_seconds if result.artefact else None,
        accuracy=None if correct is None else float(correct.mean()),
        agreement=agreement,
        largest_difference=difference,
        latency_p50_ms=percentile(evidence, 50, result.name),
        latency_p90_ms=percentile(evidence, 90, result.name),
        images_per_second=throughput(evidence, result.name),
        memory_mb=None if result.memory_bytes is None else result.memory_bytes / 1e6,
        reason=result.reason,
        seed=seed,
        correct=correct,
    )
