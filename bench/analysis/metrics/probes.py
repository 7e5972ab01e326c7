"""Accuracy of the classifiers fitted to the frozen features, if the run fitted them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.base import METRICS, Metric
from bench.analysis.metrics.classification import answers
from bench.analysis.statistics import wilson
from bench.storage.records import Evidence
from bench.training.probes import PROBES


@dataclass(frozen=True)
class ProbeAnswers:
    """What one probe got right."""

    right: NDArray[np.bool_]  # test images
    validation: float  # the share of the validation images


@lru_cache(maxsize=1)  # the figures of one trial are derived one after the other
def probe_answers(evidence: Evidence) -> Mapping[str, ProbeAnswers]:
    """Return each probe's right answers by its name; none if none was fitted."""
    truth = [answers(evidence, split) for split in ("test", "validation")]
    found = {}
    for name in PROBES if all(truth) else ():
        shares = [evidence.arrays.get(f"{name}_{s}_probabilities") for s in ("test", "validation")]
        right = [
            of_split.argmax(axis=1) == known[0]
            for of_split, known in zip(shares, truth, strict=True)
            if of_split is not None and known is not None
        ]
        if len(right) == 2:
            found[name] = ProbeAnswers(right[0], float(right[1].mean()))
    return found


Figure = Callable[[Evidence], float | None]


def _accuracy(probe: str) -> Figure:
    def compute(evidence: Evidence) -> float | None:
        found = probe_answers(evidence).get(probe)
        return None if found is None else float(found.right.mean())

    return compute


def _end(probe: str, end: Literal[0, 1]) -> Figure:
    def compute(evidence: Evidence) -> float | None:
        found = probe_answers(evidence).get(probe)
        return None if found is None else wilson(int(found.right.sum()), len(found.right))[end]

    return compute


for _name, _title in (("knn", "k-NN on frozen features"), ("logistic", "logistic regression")):
    for _metric in (
        Metric(f"{_name}_accuracy", f"accuracy of {_title}", "share", "higher", _accuracy(_name)),
        Metric(f"{_name}_low", "95% interval, low end", "share", "neither", _end(_name, 0)),
        Metric(f"{_name}_high", "95% interval, high end", "share", "neither", _end(_name, 1)),
    ):
        METRICS.add(_metric)
