"""Top-5 accuracy, for data sets with more than five classes."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.metrics.base import METRICS, Metric, MetricColumn
from bench.analysis.metrics.classification import Counts, Floats, compute_on_split
from bench.training.losses import true_class_probabilities

NUMBER = 5


def _top_five(labels: Counts, probabilities: Floats) -> float | None:
    if probabilities.shape[1] <= NUMBER:
        return None
    # A class with the same probability as the true one counts as before it: ties gain nothing.
    before = (probabilities >= true_class_probabilities(labels, probabilities)[:, None]).sum(
        axis=1
    ) - 1
    return float((before < NUMBER).mean())


METRICS.add(
    Metric(
        "top5_accuracy",
        "true class among the five most probable",
        "share",
        "higher",
        compute_on_split("test", _top_five),
        column=MetricColumn("Top-5", fmt.percent, 25, spread=True),
    )
)
