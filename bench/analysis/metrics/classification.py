"""Accuracy, loss and scores by class, from the predicted probabilities of each image.

If the probabilities of a split are missing or not finite, its figures are `None`: a model that
diverged has no accuracy, although `argmax` would give one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis import format as fmt
from bench.analysis.metrics.base import METRICS, Metric, MetricColumn, compute_from
from bench.analysis.statistics import wilson
from bench.storage.records import Evidence
from bench.training.losses import cross_entropy

ScoredSplit = Literal["validation", "test"]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
CACHED = 1 << 14  # numbers that fit a processor's cache


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class; recall and F1 are NaN if it has no images."""

    precision: float
    recall: float
    f1: float
    images: int  # of this true class


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predicted class of each test image, with its probability."""

    labels: Counts  # the true classes
    predicted: NDArray[np.integer]
    confidence: Floats

    @property
    def correct(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.labels == self.predicted
        return found


@lru_cache(maxsize=2)  # both splits of one trial: its metrics are computed one after the other
def labels_and_probabilities(
    evidence: Evidence, split: ScoredSplit
) -> tuple[Counts, Floats] | None:
    """Return the true labels and the probabilities (images x classes) of a split.

    `None` if they are missing or not finite.
    """
    labels = evidence.arrays.get(f"{split}_labels")
    probabilities = evidence.arrays.get(f"{split}_probabilities")
    if labels is None or probabilities is None or not len(labels):
        return None
    if not np.isfinite(probabilities).all():
        return None
    return labels.astype(np.int64, copy=False), probabilities.astype(np.float64, copy=False)


def cache_sized_slices(probabilities: Floats) -> Iterator[slice]:
    """Yield slices of images whose probabilities fit a processor's cache.

    Arithmetic in several steps on all images at once would wait for memory in each step.
    """
    images = max(1, CACHED // probabilities.shape[1])
    return (slice(start, start + images) for start in range(0, len(probabilities), images))


def predictions(evidence: Evidence) -> Predictions | None:
    """Return the predicted class of each test image; `None` without usable probabilities."""
    found = labels_and_probabilities(evidence, "test")
    if found is None:
        return None
    labels, probabilities = found
    # The predictions of all trials are in memory at once: use the smallest type.
    smallest = np.min_scalar_type(len(evidence.classes))
    predicted = probabilities.argmax(axis=1).astype(smallest)
    return Predictions(labels, predicted, probabilities.max(axis=1))


def confusion_counts(predictions: Predictions, classes: int) -> Counts:
    """Count images by true class (rows) and predicted class (columns)."""
    cells = predictions.labels * classes + predictions.predicted
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def confusion_matrix(evidence: Evidence) -> Counts | None:
    """Return the confusion matrix of a trial's test images."""
    found = predictions(evidence)
    return None if found is None else confusion_counts(found, len(evidence.classes))


def class_scores(confusion: Counts) -> tuple[ClassScores, ...]:
    """Return precision, recall and F1 of each class; a class never predicted has precision 0."""
    correct = np.diag(confusion).astype(np.float64)
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore"):
        recall = correct / true
        f1 = np.where(true > 0, 2 * correct / (true + predicted), np.nan)
    precision = correct / np.maximum(predicted, 1)
    return tuple(
        ClassScores(float(p), float(r), float(f), int(n))
        for p, r, f, n in zip(precision, recall, f1, true, strict=True)
    )


def compute_on_split(
    split: ScoredSplit, figure: Callable[[Counts, Floats], float | None]
) -> Callable[[Evidence], float | None]:
    """Build a metric function that applies `figure` to the labels and probabilities of a split."""
    return compute_from(
        lambda evidence: labels_and_probabilities(evidence, split), lambda found: figure(*found)
    )


def _count_correct(labels: Counts, probabilities: Floats) -> int:
    return int((probabilities.argmax(axis=1) == labels).sum())


def _accuracy(labels: Counts, probabilities: Floats) -> float:
    return _count_correct(labels, probabilities) / len(labels)


def _images(labels: Counts, probabilities: Floats) -> int:
    return len(labels)


def _interval(end: Literal[0, 1]) -> Callable[[Counts, Floats], float]:
    return lambda labels, shares: wilson(_count_correct(labels, shares), len(labels))[end]


@lru_cache(maxsize=1)
def _class_scores(evidence: Evidence) -> tuple[ClassScores, ...]:
    confusion = confusion_matrix(evidence)
    return () if confusion is None else class_scores(confusion)


def _macro(figure: Literal["precision", "recall", "f1"]) -> Callable[[Evidence], float | None]:
    def compute(evidence: Evidence) -> float | None:
        scores: list[float] = [getattr(s, figure) for s in _class_scores(evidence) if s.images]
        return sum(scores) / len(scores) if scores else None

    return compute


_COLUMNS = {
    "accuracy": MetricColumn("Accuracy", fmt.percent, 100, spread=True),
    "accuracy_low": MetricColumn("95% interval", fmt.percent, 98, up_to="accuracy_high"),
    "loss": MetricColumn("Loss", fmt.decimals, 50, spread=True),
    "val_accuracy": MetricColumn("Val. acc.", fmt.percent, 30, spread=True),
    "macro_f1": MetricColumn("Macro F1", fmt.percent, 20, spread=True),
}
_test, _validation = partial(compute_on_split, "test"), partial(compute_on_split, "validation")
for _metric in (
    Metric("accuracy", "test accuracy", "share", "higher", _test(_accuracy)),
    Metric("accuracy_low", "95% interval, low end", "share", "neither", _test(_interval(0))),
    Metric("accuracy_high", "95% interval, high end", "share", "neither", _test(_interval(1))),
    Metric("test_images", "test images", "images", "neither", _test(_images)),
    Metric("loss", "test cross-entropy", "nats", "lower", _test(cross_entropy)),
    Metric("val_accuracy", "validation accuracy", "share", "higher", _validation(_accuracy)),
    Metric("val_loss", "validation cross-entropy", "nats", "lower", _validation(cross_entropy)),
    Metric("macro_precision", "mean precision", "share", "higher", _macro("precision")),
    Metric("macro_recall", "mean recall", "share", "higher", _macro("recall")),
    Metric("balanced_accuracy", "balanced accuracy", "share", "higher", _macro("recall")),
    Metric("macro_f1", "mean F1", "share", "higher", _macro("f1")),
):
    METRICS.add(replace(_metric, column=_COLUMNS.get(_metric.name)))
