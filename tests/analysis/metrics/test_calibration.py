"""Calibration: against hand-worked figures, scikit-learn and simulation."""

from __future__ import annotations

from math import log, pi, sqrt
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from bench.analysis.metrics import classification
from bench.analysis.metrics.base import METRICS
from bench.analysis.metrics.calibration import (
    Bin,
    apply_temperature,
    bin_sums,
    brier,
    chance_ece,
    expected_calibration_error,
    fit_temperature,
    to_bins,
)

Array = np.ndarray[Any, Any]


def two_classes(confidence: list[float]) -> Array:
    """Probabilities of two classes, the first always the more probable."""
    return np.array([[c, 1 - c] for c in confidence])


def bins_of(labels: Array, probabilities: Array) -> tuple[Bin, ...]:
    return to_bins(bin_sums(probabilities.argmax(axis=1) == labels, probabilities.max(axis=1)))


def simulated(count: int, classes: int, seed: int, temperature: float = 1.0) -> tuple[Array, Array]:
    """Labels and probabilities of a calibrated model, made overconfident by `temperature`."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=2, size=(count, classes))
    powers = np.exp(logits)
    true = powers / powers.sum(axis=1, keepdims=True)
    labels = np.array([random.choice(classes, p=p) for p in true])
    return labels, apply_temperature(true, 1 / temperature)


def test_calibration_error_by_hand() -> None:
    # Of two images at 90% one is right, |0.9 - 0.5|; of two at 60% both, |0.6 - 1|.
    bins = bins_of(np.array([0, 1, 0, 0]), two_classes([0.9, 0.9, 0.6, 0.6]))
    assert [(b.images, b.confidence, b.accuracy) for b in bins] == [(2, 0.6, 1.0), (2, 0.9, 0.5)]
    assert expected_calibration_error(bins) == pytest.approx(0.4)
    # Three images at 70% and one at 95%, all right: (3 * 0.3 + 0.05) / 4.
    bins = bins_of(np.zeros(4, int), two_classes([0.7, 0.7, 0.7, 0.95]))
    assert expected_calibration_error(bins) == pytest.approx(0.2375)


def test_bins_are_fifteenths_and_hold_their_upper_end() -> None:
    edges = [12 / 15, 12 / 15 + 1e-6, 13 / 15, 1.0]
    assert [b.images for b in bins_of(np.zeros(4, int), two_classes(edges))] == [1, 2, 1]


@pytest.mark.slow
def test_chance_by_hand_and_as_simulated() -> None:
    # Correct predictions of 100 images at 80% scatter by sqrt(100 * 0.8 * 0.2) = 4.
    assert chance_ece(two_classes([0.8] * 100)) == pytest.approx(sqrt(2 / pi) * 4 / 100)
    errors, expected = [], []
    for seed in range(200):
        labels, probabilities = simulated(150, 3, seed)
        errors.append(expected_calibration_error(bins_of(labels, probabilities)))
        expected.append(chance_ece(probabilities))
    assert np.mean(errors) == pytest.approx(np.mean(expected), rel=0.05)


@pytest.mark.parametrize("classes", [2, 5])
def test_brier_agrees_with_scikit_learn(classes: int) -> None:
    labels, probabilities = simulated(200, classes, 0)
    if classes == 2:
        expected = sklearn_metrics.brier_score_loss(labels, probabilities[:, 1])
    else:
        expected = ((probabilities - np.eye(classes)[labels]) ** 2).sum() / 200 / 2
    assert brier(labels, probabilities) == pytest.approx(expected)
    assert brier(np.array([0]), two_classes([0.7])) == pytest.approx(0.09)


def test_temperature_by_hand() -> None:
    # Always 90% sure and 80% right: ln 9 / T must be ln 4.
    labels = np.array([0] * 80 + [1] * 20)
    fitted = fit_temperature(labels, two_classes([0.9] * 100)).value
    assert fitted is not None
    assert fitted == pytest.approx(log(9) / log(4))
    assert apply_temperature(two_classes([0.9]), fitted)[0, 0] == pytest.approx(0.8)


@pytest.mark.parametrize(("classes", "temperature"), [(2, 2.5), (4, 2.5), (4, 0.5)])
def test_scaling_corrects_overconfidence(classes: int, temperature: float) -> None:
    labels, probabilities = simulated(5000, classes, 1, temperature)
    fitted = fit_temperature(labels, probabilities).value
    assert fitted is not None
    assert fitted == pytest.approx(temperature, rel=0.06)
    after = apply_temperature(probabilities, fitted)
    assert (after.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert expected_calibration_error(bins_of(labels, after)) < 0.02
    assert expected_calibration_error(bins_of(labels, probabilities)) > 0.05


def test_figures_do_not_depend_on_the_number_of_images_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, probabilities = simulated(500, 4, 1, 2.5)
    whole = fit_temperature(labels, probabilities).value
    monkeypatch.setattr(classification, "CACHED", 4 * 60)
    assert whole is not None
    assert fit_temperature(labels, probabilities).value == pytest.approx(whole, rel=1e-12)
    expected = probabilities ** (1 / whole)
    expected /= expected.sum(axis=1, keepdims=True)
    assert apply_temperature(probabilities, whole) == pytest.approx(expected)


def test_a_sigmoid_is_divided_before_it_is_taken() -> None:
    logit = 1.7
    positive = 1 / (1 + np.exp(-logit))
    assert apply_temperature(np.array([[1 - positive, positive]]), 2)[0, 1] == pytest.approx(
        1 / (1 + np.exp(-logit / 2))
    )


@pytest.mark.parametrize(
    ("labels", "confidence", "reason"),
    [
        ([0] * 45 + [1] * 4, 0.9, "49 validation images, fewer than 50"),
        ([0] * 60, 0.9, "0 of 60 validation images wrong, no optimum"),
        ([0] * 30 + [1] * 40, 0.9, "40 of 70 validation images wrong, no optimum"),
        ([0] * 31 + [1] * 29, 0.6, "uncertain by"),
    ],
)
def test_an_undetermined_temperature_is_none(
    labels: list[int], confidence: float, reason: str
) -> None:
    fitted = fit_temperature(np.array(labels), two_classes([confidence] * len(labels)))
    assert fitted.value is None
    assert reason in fitted.reason


def test_certain_mistakes_are_scaled_too() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    fitted = fit_temperature(labels, two_classes([1 - 1e-9] * 100)).value
    assert fitted == pytest.approx(log(1e9) / log(9))
    # Certain beyond what a number says: no temperature up to the highest makes 90% of it.
    none = fit_temperature(labels, two_classes([1.0] * 100))
    assert (none.value, none.reason) == (None, "10 of 100 validation images wrong, no optimum")


def test_metrics_use_validation_for_the_fit_and_test_for_the_figure(make_evidence: Any) -> None:
    evidence = make_evidence(
        {
            "validation_labels": [0] * 80 + [1] * 20,
            "validation_probabilities": two_classes([0.9] * 100),
            "test_labels": [0, 0, 0, 1],
            "test_probabilities": two_classes([0.9] * 4),
        }
    )

    def value(name: str) -> Any:
        return METRICS[name].compute(evidence)

    assert value("temperature") == pytest.approx(log(9) / log(4))
    assert value("ece") == pytest.approx(0.15)
    assert value("scaled_ece") == pytest.approx(0.05)
    assert value("brier") == pytest.approx((3 * 0.01 + 0.81) / 4)
    assert value("scaled_brier") == pytest.approx((3 * 0.04 + 0.64) / 4)
    assert value("scaled_loss") == pytest.approx(-(3 * log(0.8) + log(0.2)) / 4)


def test_without_evidence_there_are_no_figures(make_evidence: Any) -> None:
    bare = make_evidence()
    for name in ("ece", "ece_chance", "brier", "temperature", "scaled_loss", "roc_auc"):
        assert METRICS[name].compute(bare) is None


@pytest.mark.parametrize("classes", [2, 3, 9])
def test_area_under_roc_agrees_with_scikit_learn(make_evidence: Any, classes: int) -> None:
    labels, probabilities = simulated(300, classes, 4)
    probabilities = np.round(probabilities, 1) + 0.01  # ties count half
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    evidence = make_evidence(
        {"test_labels": labels, "test_probabilities": probabilities},
        classes=tuple(f"class {i}" for i in range(classes)),
    )
    if classes == 2:
        expected = sklearn_metrics.roc_auc_score(labels, probabilities[:, 1])
    else:
        expected = sklearn_metrics.roc_auc_score(labels, probabilities, multi_class="ovr")
    assert METRICS["roc_auc"].compute(evidence) == pytest.approx(expected)
    balanced = sklearn_metrics.balanced_accuracy_score(labels, probabilities.argmax(axis=1))
    assert METRICS["balanced_accuracy"].compute(evidence) == pytest.approx(balanced)


def test_area_by_hand(make_evidence: Any) -> None:
    # Dogs at 0.8 and 0.4, cats at 0.6, 0.4 and 0.1: of six pairs four in order, one tied, one not.
    dog = np.array([0.8, 0.4, 0.6, 0.4, 0.1])
    evidence = make_evidence(
        {"test_labels": [1, 1, 0, 0, 0], "test_probabilities": np.stack([1 - dog, dog], axis=1)}
    )
    assert METRICS["roc_auc"].compute(evidence) == pytest.approx(4.5 / 6)
