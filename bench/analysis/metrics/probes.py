"""Accuracy of the classifiers fitted to the frozen features, if the run fitted them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import truediv
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.base import METRICS, Metric, derived
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


def _of(probe: str, figure: Callable[[int, int], float]) -> Callable[[Evidence], float | None]:
    """Return what computes a figure of how many test images a probe got right, of how many."""
    return derived(
        lambda evidence: probe_answers(evidence).get(probe),
        lambda found: figure(int(found.right.sum()), len(found.right)),
    )


def _end(end: Literal[0, 1]) -> Callable[[int, int], float]:
    return lambda right, images: wilson(right, images)[end]


for _name, _title in (("knn", "k-NN on frozen features"), ("logistic", "logistic regression")):
    for _metric in (
        Metric(
            f"{_name}_accuracy", f"accuracy of {_title}", "share", "higher", _of(_name, truediv)
        ),
        Metric(f"{_name}_low", "95% interval, low end", "share", "neither", _of(_name, _end(0))),
        Metric(f"{_name}_high", "95% interval, high end", "share", "neither", _of(_name, _end(1))),
    ):
        METRICS.add(_metric)
