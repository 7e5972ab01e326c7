"""What the page shows of the raw evidence, drawn from it in one pass: the arrays are let go of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.metrics.calibration import BINS
from bench.metrics.classification import Counts, Floats, answers
from bench.metrics.latency import durations
from bench.records import Evidence
from bench.report.findings import Findings


@dataclass
class Seen:
    """One backbone, over its seeds."""

    labels: Counts = field(default_factory=lambda: np.zeros(0, np.int64))  # true, by test image
    predicted: list[Counts] = field(default_factory=list)  # a row a seed
    confidence: list[Floats] = field(default_factory=list)  # of what was predicted
    milliseconds: NDArray[np.float64] | None = None  # each timed query of one image

    @property
    def reliability(self) -> tuple[Counts, Floats, Floats]:
        """Of each bin: answers, their mean confidence, and the share of them that was right."""
        confidence = np.concatenate(self.confidence)
        right = np.concatenate([row == self.labels for row in self.predicted])
        # As the calibration error bins them: a bin holds its upper end.
        which = np.clip(np.ceil(confidence * BINS - 1e-9) - 1, 0, BINS - 1).astype(np.int64)
        count = np.bincount(which, minlength=BINS)
        least = np.maximum(count, 1)
        sure = np.bincount(which, confidence, BINS) / least
        return count, sure, np.bincount(which, right, BINS) / least


def gather(findings: Findings) -> Mapping[str, Seen]:
    """What was seen of each backbone that finished, by label."""
    run = findings.run
    found: dict[str, Seen] = {}
    for label, records in findings.records.items():
        for record in records:
            if record.status == "ok":
                evidence = Evidence(record, run.dataset.classes, run.folder)
                _add(found.setdefault(label, Seen()), evidence)
    return found


def _add(seen: Seen, evidence: Evidence) -> None:
    test = answers(evidence, "test")
    if test is not None and (not seen.predicted or len(test[0]) == len(seen.labels)):
        seen.labels, probabilities = test
        predicted = probabilities.argmax(axis=1)
        seen.predicted.append(predicted)
        seen.confidence.append(probabilities[np.arange(len(predicted)), predicted])
    taken = durations(evidence, 1)
    # What is timed is timed once for all seeds of a backbone.
    if seen.milliseconds is None and taken is not None:
        seen.milliseconds = 1000 * taken
