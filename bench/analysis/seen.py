"""The answers and timed queries of each backbone that reports show, over its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.classification import Counts, Floats, Guesses
from bench.analysis.scores import Contender, Score
from bench.analysis.statistics import SAMPLES_FOR_PERCENTILE
from bench.types import Record


@dataclass
class Seen:
    """One backbone, over its seeds."""

    labels: Counts = field(default_factory=lambda: np.zeros(0, np.int64))  # true, by test image
    predicted: list[NDArray[np.integer]] = field(default_factory=list)  # a row a seed
    confidence: list[Floats] = field(default_factory=list)  # of what was predicted
    milliseconds: NDArray[np.float64] | None = None  # each query of one image, sorted

    throughput: Mapping[int, float] = field(default_factory=dict)  # images/s by batch size

    @property
    def quartiles(self) -> tuple[float, float, float] | None:
        """Return the quartiles of the queries, where enough of them support percentiles."""
        taken = self.milliseconds
        if taken is None or len(taken) < SAMPLES_FOR_PERCENTILE[90]:
            return None
        low, middle, high = np.percentile(taken, [25, 50, 75])
        return float(low), float(middle), float(high)


def gather(records: Mapping[str, Sequence[Record]], scores: Sequence[Score]) -> Mapping[str, Seen]:
    """Return the answers and queries of each finished backbone, by label, in table order."""
    found: dict[str, Seen] = {
        label: Seen()
        for label, records in records.items()
        if any(record.status == "ok" for record in records)
    }
    for score in sorted(scores, key=lambda s: s.record.trial.seed):
        if score.record.status == "ok":
            seen = found[score.label]
            if isinstance(score, Contender):
                _add(seen, score.guesses)
            if seen.milliseconds is None and score.record.runtimes:
                # Latency is timed once for all seeds of a backbone.
                seen.milliseconds, seen.throughput = score.milliseconds, score.throughput
    return found


def _add(seen: Seen, guesses: Guesses) -> None:
    if not seen.predicted or len(guesses.labels) == len(seen.labels):
        seen.labels = guesses.labels
        seen.predicted.append(guesses.predicted)
        seen.confidence.append(guesses.confidence)
