"""How often the true class is among the five most probable, where there are more than five."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.metrics.base import METRICS, Column, Metric
from bench.analysis.metrics.classification import answers
from bench.storage.records import Evidence
from bench.training.losses import of_true

NUMBER = 5


def _top_five(evidence: Evidence) -> float | None:
    found = answers(evidence, "test")
    if found is None or found[1].shape[1] <= NUMBER:
        return None
    labels, probabilities = found
    # A class of the same probability as the true one counts as before it: ties gain nothing.
    before = (probabilities >= of_true(labels, probabilities)[:, None]).sum(axis=1) - 1
    return float((before < NUMBER).mean())


METRICS.add(
    Metric(
        "top5_accuracy",
        "true class among the five most probable",
        "share",
        "higher",
        _top_five,
        column=Column("Top-5", fmt.percent, 25, spread=True),
    )
)
