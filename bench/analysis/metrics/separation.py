"""How well a model's probabilities order the images, independent of a threshold: ROC."""

from __future__ import annotations

import numpy as np

from bench.analysis.metrics.base import METRICS, Metric
from bench.analysis.metrics.classification import Counts, Floats, of_answers

COPIED = 64  # columns at a time: a row's are next to each other in memory


def area(positive: Floats, negative: Floats) -> float:
    """Return P(a positive image scores above a negative one), ties half: the area under ROC."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    up_to = np.searchsorted(ordered, positive, "right")
    return float((below + up_to).mean() / (2 * len(ordered)))


def mean_area(labels: Counts, probabilities: Floats) -> float | None:
    """Return the area for two classes, or the mean over classes of each against the rest.

    A class without images, or with all of them, has no area and is left out of the mean.
    """
    areas = []
    for start in range(0, probabilities.shape[1], COPIED):
        columns = probabilities[:, start : start + COPIED].T.copy()
        for label, scores in enumerate(columns, start):
            of_class = labels == label
            if 0 < of_class.sum() < len(labels):
                areas.append(area(scores[of_class], scores[~of_class]))
    return float(np.mean(areas)) if areas else None


METRICS.add(Metric("roc_auc", "area under ROC", "share", "higher", of_answers("test", mean_area)))
