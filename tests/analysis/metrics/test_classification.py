"""Accuracy, loss and class figures: against hand-worked numbers and against scikit-learn."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from bench.analysis.metrics.base import METRICS
from bench.analysis.metrics.classification import class_scores, confusion_matrix

# Four cats, two dogs. Right: three cats, one dog. One cat is called a dog, one dog a cat.
LABELS = [0, 0, 0, 0, 1, 1]
PROBABILITIES = [[0.9, 0.1], [0.8, 0.2], [0.5, 0.5], [0.4, 0.6], [0.3, 0.7], [0.75, 0.25]]


def value(name: str, evidence: Any) -> float | None:
    return METRICS[name].compute(evidence)


def test_hand_worked_figures(make_evidence: Any) -> None:
    evidence = make_evidence({"test_labels": LABELS, "test_probabilities": PROBABILITIES})
    assert value("accuracy", evidence) == pytest.approx(4 / 6)
    of_true = [0.9, 0.8, 0.5, 0.4, 0.7, 0.25]
    assert value("loss", evidence) == pytest.approx(-sum(log(p) for p in of_true) / 6)
    confusion = confusion_matrix(evidence)
    assert confusion is not None
    assert confusion.tolist() == [[3, 1], [1, 1]]
    cats, dogs = class_scores(confusion)
    assert (cats.precision, cats.recall, cats.f1, cats.images) == (3 / 4, 3 / 4, 3 / 4, 4)
    assert (dogs.precision, dogs.recall, dogs.f1, dogs.images) == (1 / 2, 1 / 2, 1 / 2, 2)
    assert value("macro_f1", evidence) == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_validation_figures_come_from_the_validation_images(make_evidence: Any) -> None:
    evidence = make_evidence(
        {
            "test_labels": LABELS,
            "test_probabilities": PROBABILITIES,
            "validation_labels": [0, 1],
            "validation_probabilities": [[1.0, 0.0], [0.5, 0.5]],
        }
    )
    assert value("val_accuracy", evidence) == 0.5
    assert value("val_loss", evidence) == pytest.approx(log(2) / 2)


@pytest.mark.parametrize("classes", [2, 3, 17])
def test_agrees_with_scikit_learn(make_evidence: Any, classes: int) -> None:
    random = np.random.default_rng(classes)
    labels = random.integers(classes, size=400)
    logits = random.normal(size=(400, classes)) + 2 * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities[0] = np.eye(classes)[labels[0]]  # certain and right
    probabilities[1] = np.eye(classes)[labels[1] - 1]  # certain and wrong
    names = tuple(f"class {i}" for i in range(classes))
    evidence = make_evidence(
        {"test_labels": labels, "test_probabilities": probabilities}, classes=names
    )
    predicted = probabilities.argmax(axis=1)
    known = list(range(classes))

    assert value("accuracy", evidence) == pytest.approx(
        sklearn_metrics.accuracy_score(labels, predicted), abs=1e-6
    )
    assert value("loss", evidence) == pytest.approx(
        sklearn_metrics.log_loss(labels, probabilities, labels=known), abs=1e-6
    )
    confusion = confusion_matrix(evidence)
    assert confusion is not None
    assert np.array_equal(
        confusion, sklearn_metrics.confusion_matrix(labels, predicted, labels=known)
    )
    precision, recall, f1, images = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, labels=known
    )
    scores = class_scores(confusion)
    assert np.allclose([s.precision for s in scores], precision, atol=1e-6)
    assert np.allclose([s.recall for s in scores], recall, atol=1e-6)
    assert np.allclose([s.f1 for s in scores], f1, atol=1e-6)
    assert [s.images for s in scores] == images.tolist()
    assert value("macro_precision", evidence) == pytest.approx(precision.mean(), abs=1e-6)
    assert value("macro_recall", evidence) == pytest.approx(recall.mean(), abs=1e-6)
    assert value("macro_f1", evidence) == pytest.approx(f1.mean(), abs=1e-6)


def test_a_class_without_images_is_left_out_of_the_means(make_evidence: Any) -> None:
    evidence = make_evidence(
        {"test_labels": [0, 1], "test_probabilities": np.eye(3)[[0, 1]]},
        classes=("a", "b", "unseen"),
    )
    assert value("macro_recall", evidence) == 1.0
    assert value("macro_f1", evidence) == 1.0


def test_a_class_never_predicted_has_precision_zero() -> None:
    scores = class_scores(np.array([[2, 0], [3, 0]]))
    assert (scores[1].precision, scores[1].recall, scores[1].f1) == (0, 0, 0)
    assert scores[0].precision == 2 / 5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_that_diverged_has_no_figures(make_evidence: Any, bad: float) -> None:
    evidence = make_evidence({"test_labels": [0, 1], "test_probabilities": [[1, 0], [bad, 0]]})
    assert value("accuracy", evidence) is None
    assert value("loss", evidence) is None
    assert confusion_matrix(evidence) is None


def test_missing_arrays_give_no_figures(make_evidence: Any) -> None:
    evidence = make_evidence()
    assert [m.name for m in METRICS if m.compute(evidence) is not None] == []
