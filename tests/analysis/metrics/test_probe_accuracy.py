"""Accuracy of the probes, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analysis.metrics.base import METRICS
from bench.analysis.metrics.probes import probe_results
from bench.analysis.statistics import wilson


def test_figures_by_hand(make_evidence: Any) -> None:
    a, b = [0.9, 0.1], [0.2, 0.8]
    evidence = make_evidence(
        {
            "test_labels": [0, 1, 0],
            "test_probabilities": [a, b, a],
            "validation_labels": [1, 0],
            "validation_probabilities": [b, a],
            "knn_test_probabilities": [a, b, b],
            "knn_validation_probabilities": [b, b],
            "logistic_test_probabilities": [b, a, a],
            "logistic_validation_probabilities": [b, a],
        }
    )
    found = probe_results(evidence)
    assert found["knn"].correct.tolist() == [True, True, False]
    assert found["logistic"].correct.tolist() == [False, False, True]
    assert (found["knn"].val_accuracy, found["logistic"].val_accuracy) == (0.5, 1.0)
    ends = tuple(METRICS[f"knn_{end}"].compute(evidence) for end in ("low", "high"))
    assert METRICS["knn_accuracy"].compute(evidence) == pytest.approx(2 / 3)
    assert ends == wilson(2, 3)
    assert METRICS["logistic_accuracy"].compute(evidence) == pytest.approx(1 / 3)


def test_without_probes_there_are_no_figures(make_evidence: Any) -> None:
    evidence = make_evidence(
        {
            "test_labels": [0, 1],
            "test_probabilities": [[1, 0], [0, 1]],
            "validation_labels": [0],
            "validation_probabilities": [[1, 0]],
        }
    )
    assert probe_results(evidence) == {}
    assert METRICS["knn_accuracy"].compute(evidence) is None
    assert METRICS["logistic_high"].compute(evidence) is None
