"""The answers and timed queries of each backbone that reports show, over its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.calibration import BINS
from bench.analysis.metrics.classification import Counts, Floats, Guesses
from bench.analysis.metrics.latency import durations
from bench.analysis.scores import Score
from bench.storage.records import Evidence, Run
from bench.types import Record


@dataclass
class Seen:
    """One backbone, over its seeds."""

    labels: Counts = field(default_factory=lambda: np.zeros(0, np.int64))  # true, by test image
    predicted: list[Counts] = field(default_factory=list)  # a row a seed
    confidence: list[Floats] = field(default_factory=list)  # of what was predicted
    milliseconds: NDArray[np.float64] | None = None  # each timed query of one image

    @property
    def reliability(self) -> tuple[Counts, Floats, Floats]:
        """Return, for each bin: answers, their mean confidence, and the share that was right."""
        confidence = np.concatenate(self.confidence)
        right = np.concatenate([row == self.labels for row in self.predicted])
        # The bins of the calibration error: a bin includes its upper end.
        which = np.clip(np.ceil(confidence * BINS - 1e-9) - 1, 0, BINS - 1).astype(np.int64)
        count = np.bincount(which, minlength=BINS)
        least = np.maximum(count, 1)
        sure = np.bincount(which, confidence, BINS) / least
        return count, sure, np.bincount(which, right, BINS) / least


def gather(
    run: Run, records: Mapping[str, Sequence[Record]], scores: Sequence[Score]
) -> Mapping[str, Seen]:
    """Return the answers and queries of each finished backbone, by label, in table order."""
    found: dict[str, Seen] = {
        label: Seen()
        for label, records in records.items()
        if any(record.status == "ok" for record in records)
    }
    for score in sorted(scores, key=lambda s: s.record.trial.seed):
        if score.record.status == "ok":
            seen = found[score.label]
            if score.guesses is not None:
                _add(seen, score.guesses)
            if seen.milliseconds is None and score.record.runtimes:
                # Latency is timed once for all seeds of a backbone.
                taken = durations(Evidence(score.record, run.dataset.classes, run.folder), 1)
                seen.milliseconds = None if taken is None else 1000 * taken
    return found


def _add(seen: Seen, guesses: Guesses) -> None:
    if not seen.predicted or len(guesses.labels) == len(seen.labels):
        seen.labels = guesses.labels
        seen.predicted.append(guesses.predicted)
        seen.confidence.append(guesses.confidence)
