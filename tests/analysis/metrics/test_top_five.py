"""Top-5 accuracy, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analysis.metrics.base import METRICS

SIX = tuple("abcdef")


def top_five(evidence: Any) -> float | None:
    return METRICS["top5_accuracy"].compute(evidence)


def test_the_true_class_is_among_the_five_most_probable(make_evidence: Any) -> None:
    falling = [0.3, 0.25, 0.2, 0.15, 0.07, 0.03]
    # The true class is the first, the fifth and the sixth of three images; in the fourth all are
    # equally probable, which counts as wrong.
    labels, rows = [0, 4, 5, 0], [falling, falling, falling, [1 / 6] * 6]
    evidence = make_evidence({"test_labels": labels, "test_probabilities": rows}, SIX)
    assert top_five(evidence) == pytest.approx(2 / 4)


def test_five_classes_have_none(make_evidence: Any) -> None:
    evidence = make_evidence({"test_labels": [0], "test_probabilities": [[0.2] * 5]}, SIX[:5])
    assert top_five(evidence) is None
