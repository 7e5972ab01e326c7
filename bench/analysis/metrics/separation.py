"""Area under the ROC curve: how well the probabilities order the images, without a threshold."""

from __future__ import annotations

import numpy as np

from bench.analysis.metrics.base import METRICS, Metric
from bench.analysis.metrics.classification import Counts, Floats, compute_on_split

COPIED = 64  # classes at a time, copied so that the scores of a class are contiguous in memory


def roc_auc(positive: Floats, negative: Floats) -> float:
    """Return P(a positive image scores above a negative one), a tie counting half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    up_to = np.searchsorted(ordered, positive, "right")
    return float((below + up_to).mean() / (2 * len(ordered)))


def mean_roc_auc(labels: Counts, probabilities: Floats) -> float | None:
    """Return the area for two classes, or the mean over classes of one against the rest.

    A class with no images, or with all of them, has no area and is left out of the mean.
    """
    areas = []
    for start in range(0, probabilities.shape[1], COPIED):
        columns = probabilities[:, start : start + COPIED].T.copy()
        for label, scores in enumerate(columns, start):
            of_class = labels == label
            if 0 < of_class.sum() < len(labels):
                areas.append(roc_auc(scores[of_class], scores[~of_class]))
    return float(np.mean(areas)) if areas else None


METRICS.add(
    Metric("roc_auc", "area under ROC", "share", "higher", compute_on_split("test", mean_roc_auc))
)
