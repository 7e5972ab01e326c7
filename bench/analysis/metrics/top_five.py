"""How often the true class is among the five most probable, where there are more than five."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.metrics.base import METRICS, Metric, MetricColumn
from bench.analysis.metrics.classification import Counts, Floats, of_answers
from bench.training.losses import of_true

NUMBER = 5


def _top_five(labels: Counts, probabilities: Floats) -> float | None:
    if probabilities.shape[1] <= NUMBER:
        return None
    # A class of the same probability as the true one counts as before it: ties gain nothing.
    before = (probabilities >= of_true(labels, probabilities)[:, None]).sum(axis=1) - 1
    return float((before < NUMBER).mean())


METRICS.add(
    Metric(
        "top5_accuracy",
        "true class among the five most probable",
        "share",
        "higher",
        of_answers("test", _top_five),
        column=MetricColumn("Top-5", fmt.percent, 25, spread=True),
    )
)
