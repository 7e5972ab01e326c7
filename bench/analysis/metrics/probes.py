"""Accuracy of the probes, simple classifiers fitted to the frozen features, if the run has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import truediv
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.base import METRICS, Metric, compute_from
from bench.analysis.metrics.classification import labels_and_probabilities
from bench.analysis.statistics import wilson
from bench.storage.records import Evidence
from bench.training.probes import PROBES


@dataclass(frozen=True)
class ProbeResult:
    """The predictions of one probe."""

    correct: NDArray[np.bool_]  # by test image
    val_accuracy: float


@lru_cache(maxsize=1)  # the metrics of one trial are computed one after the other
def probe_results(evidence: Evidence) -> Mapping[str, ProbeResult]:
    """Return the results of the fitted probes by name."""
    truth = [labels_and_probabilities(evidence, split) for split in ("test", "validation")]
    found = {}
    for name in PROBES if all(truth) else ():
        stored = [evidence.arrays.get(f"{name}_{s}_probabilities") for s in ("test", "validation")]
        correct = [
            probabilities.argmax(axis=1) == known[0]
            for probabilities, known in zip(stored, truth, strict=True)
            if probabilities is not None and known is not None
        ]
        if len(correct) == 2:
            found[name] = ProbeResult(correct[0], float(correct[1].mean()))
    return found


def _test_figure(
    probe: str, figure: Callable[[int, int], float]
) -> Callable[[Evidence], float | None]:
    """Build a metric function that applies `figure` to a probe's correct test images and their
    number."""
    return compute_from(
        lambda evidence: probe_results(evidence).get(probe),
        lambda found: figure(int(found.correct.sum()), len(found.correct)),
    )


def _interval_end(end: Literal[0, 1]) -> Callable[[int, int], float]:
    return lambda correct, images: wilson(correct, images)[end]


for _name, _title in (("knn", "k-NN on frozen features"), ("logistic", "logistic regression")):
    _of = partial(_test_figure, _name)
    for _metric in (
        Metric(f"{_name}_accuracy", f"accuracy of {_title}", "share", "higher", _of(truediv)),
        Metric(f"{_name}_low", "95% interval, low end", "share", "neither", _of(_interval_end(0))),
        Metric(
            f"{_name}_high", "95% interval, high end", "share", "neither", _of(_interval_end(1))
        ),
    ):
        METRICS.add(_metric)
