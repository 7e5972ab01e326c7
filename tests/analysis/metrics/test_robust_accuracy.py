"""Accuracy on corrupted images, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analysis.metrics.base import METRICS
from bench.analysis.metrics.robustness import robustness


def test_figures_by_hand(make_evidence: Any) -> None:
    right, wrong = [0.9, 0.1], [0.2, 0.8]
    evidence = make_evidence(
        {
            "test_labels": [0, 1, 0],
            "test_probabilities": [right, right, right],  # image 1 is wrong as it is
            "robust_images": [0, 2],
            "robust_corruptions": ["blur", "noise"],
            "robust_probabilities": [
                [[right, right], [right, wrong], [wrong, wrong]],
                [[right, right], [right, right], [right, wrong]],
            ],
        }
    )
    found = robustness(evidence)
    assert found is not None
    assert found.corruptions == ("blur", "noise")
    assert found.correct.tolist() == [[2, 1, 0], [2, 2, 1]]
    assert (found.clean_correct, found.images) == (2, 2)
    assert METRICS["robust_accuracy"].compute(evidence) == pytest.approx(8 / 12)
    assert METRICS["robust_images"].compute(evidence) == 2


def test_without_corrupted_images_there_is_no_figure(make_evidence: Any) -> None:
    evidence = make_evidence({"test_labels": [0, 1], "test_probabilities": [[1, 0], [0, 1]]})
    assert robustness(evidence) is None
    assert METRICS["robust_accuracy"].compute(evidence) is None
