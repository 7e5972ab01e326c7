"""The cross-entropy that training, probes and reports share."""

from __future__ import annotations

import numpy as np
import pytest

from bench.training.losses import cross_entropy
from bench.training.phase_tracker import evaluate


def test_cross_entropy_is_the_mean_negative_log_probability_of_the_true_class() -> None:
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25]])
    labels = np.array([0, 1])
    expected = (np.log(2) + np.log(4)) / 2
    assert cross_entropy(labels, probabilities) == pytest.approx(expected)
    assert evaluate(probabilities, labels).loss == pytest.approx(expected)


def test_cross_entropy_is_clipped_at_machine_precision() -> None:
    certain = np.array([[1.0, 0.0]])
    assert cross_entropy(np.array([1]), certain) == pytest.approx(52 * np.log(2))
    assert cross_entropy(np.array([0]), certain) == pytest.approx(0, abs=1e-15)
    assert not np.signbit(evaluate(certain, np.array([0])).loss)  # it was written as -0.0
