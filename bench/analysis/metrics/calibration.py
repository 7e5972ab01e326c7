"""Calibration: whether 80% of the predictions made with 80% confidence are correct.

The expected calibration error (ECE) sorts the images by the probability of the predicted class into
`BINS` bins of equal width from 0 to 1, and averages the distance between accuracy and mean
probability, weighted by images. On few images it is above 0 by chance even for a perfect model;
`chance_ece` returns by how much.

Temperature scaling divides the logits by one number, fitted to minimise the validation loss. It
changes no predicted class, only the confidence, and needs only stored probabilities: softmax logits
are their logarithms, up to a constant, and a sigmoid is a softmax over two classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import inf, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.base import METRICS, Metric, compute_from
from bench.analysis.metrics.classification import (
    Counts,
    Floats,
    cache_sized_slices,
    compute_on_split,
    labels_and_probabilities,
)
from bench.analysis.statistics import wilson
from bench.storage.records import Evidence
from bench.training.losses import cross_entropy, softmax, true_class_probabilities

BINS = 15
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
MIN_IMAGES = 50  # validation images needed to fit a temperature
MAX_STANDARD_ERROR = 0.5  # of a temperature, as a fraction of it


@dataclass(frozen=True)
class Bin:
    """The predictions whose confidence is in one bin."""

    images: int  # an image counts once for each seed
    confidence: float  # mean
    accuracy: float

    def interval(self, seeds: int) -> tuple[float, float]:
        """Return the 95% interval of the accuracy.

        All seeds predict the same images, which are therefore one sample, not several.
        """
        images = max(1, round(self.images / seeds))
        return wilson(self.accuracy * images, images)


@dataclass(frozen=True)
class Temperature:
    """The divisor of the logits: above 1 for an overconfident model, below 1 for the opposite."""

    value: float | None  # None if the validation images do not determine it
    reason: str = ""  # why `value` is None


def bin_sums(correct: NDArray[np.bool_], confidence: Floats) -> Floats:
    """Return the sums of each bin (3 x bins): images, confidence, and correct predictions.

    The sums of several trials may be added.
    """
    indices, sums = _bin_indices(confidence), np.zeros((3, BINS))
    for index in np.unique(indices):
        here = indices == index
        sums[:, index] = here.sum(), confidence[here].sum(), correct[here].sum()
    return sums


def to_bins(sums: Floats) -> tuple[Bin, ...]:
    """Return the non-empty bins of `bin_sums`, by rising confidence."""
    return tuple(
        Bin(int(images), float(confidence / images), float(correct / images))
        for images, confidence, correct in sums.T
        if images
    )


def expected_calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the mean distance of confidence from accuracy, weighted by images."""
    images = sum(one.images for one in bins)
    return sum(one.images * abs(one.confidence - one.accuracy) for one in bins) / images


def chance_ece(probabilities: Floats) -> float:
    """Return the ECE expected by chance if the model were perfectly calibrated.

    The number of correct predictions in a bin is then a sum of independent Bernoulli variables, and
    the mean absolute deviation of a normal variable is its standard deviation times sqrt(2/pi).
    """
    confidence = probabilities.max(axis=1)
    variances = np.bincount(_bin_indices(confidence), confidence * (1 - confidence))
    return float(sqrt(2 / pi) * np.sqrt(variances).sum() / len(confidence))


def brier(labels: Counts, probabilities: Floats) -> float:
    """Return half the mean squared distance from the one-hot labels: for two classes (p - y)²."""
    missing, of_image = 1 - true_class_probabilities(labels, probabilities), np.empty(len(labels))
    for part in cache_sized_slices(probabilities):
        squares = probabilities[part] ** 2
        squares[np.arange(len(squares)), labels[part]] = missing[part] ** 2
        of_image[part] = squares.sum(axis=1)
    return float(of_image.mean() / 2)


def apply_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Return the probabilities after dividing the logits by `temperature`."""
    found = np.empty(probabilities.shape)
    for part in cache_sized_slices(probabilities):
        found[part] = softmax(_logits(probabilities[part]) / temperature)
    return found


def fit_temperature(labels: Counts, probabilities: Floats) -> Temperature:
    """Return the temperature with the lowest loss on these (validation) images."""
    if len(labels) < MIN_IMAGES:
        return Temperature(None, f"{len(labels)} validation images, fewer than {MIN_IMAGES}")
    logits = _logits(probabilities)
    true = true_class_probabilities(labels, logits)
    coldest, hottest = (_slope(logits, true, 1 / t)[0] for t in (MIN_TEMPERATURE, MAX_TEMPERATURE))
    if coldest >= 0 or hottest <= 0:
        wrong = int((probabilities.argmax(axis=1) != labels).sum())
        return Temperature(None, f"{wrong} of {len(labels)} validation images wrong, no optimum")
    factor, information = _maximise_likelihood(logits, true)
    error = 1 / (factor * sqrt(information)) if information > 0 else inf
    if error > MAX_STANDARD_ERROR:
        return Temperature(None, f"on validation it is uncertain by ±{100 * error:.0f}%")
    return Temperature(1 / factor)


def _slope(logits: Floats, true: Floats, factor: float) -> tuple[float, float]:
    """Return the slope of the log-likelihood in `factor`, 1/temperature, and the information (the
    negative second derivative)."""
    mean, information = np.empty(len(logits)), 0.0
    for part in cache_sized_slices(logits):
        shares = softmax(logits[part] * factor)
        mean[part] = (shares * logits[part]).sum(axis=1)
        information += float((shares * (logits[part] - mean[part, None]) ** 2).sum())
    return float((true - mean).sum()), information


def _maximise_likelihood(logits: Floats, true: Floats) -> tuple[float, float]:
    """Return the factor at the maximum of the log-likelihood, and the information there."""
    low, factor, high = 1 / MAX_TEMPERATURE, 1.0, 1 / MIN_TEMPERATURE
    while True:
        slope, information = _slope(logits, true, factor)
        newton = factor + slope / information if information > 0 else inf
        if abs(newton - factor) <= 1e-10 * factor or high - low <= 1e-10 * factor:
            return factor, information
        low, high = (factor, high) if slope > 0 else (low, factor)
        # If Newton's step leaves the bracket, bisect instead.
        factor = newton if low < newton < high else (low + high) / 2


@lru_cache(maxsize=1)  # the metrics of one trial are computed one after the other
def temperature(evidence: Evidence) -> Temperature:
    """Return the temperature fitted on the trial's validation images."""
    found = labels_and_probabilities(evidence, "validation")
    if found is None:
        return Temperature(None, "no usable validation probabilities are stored")
    return fit_temperature(*found)


def scaled_bin_sums(evidence: Evidence) -> Floats | None:
    """Return the `bin_sums` of the test predictions after temperature scaling."""
    found = _scaled_probabilities(evidence)
    return None if found is None else _bin_sums(*found)


@lru_cache(maxsize=1)
def _scaled_probabilities(evidence: Evidence) -> tuple[Counts, Floats] | None:
    """Return test labels and temperature-scaled probabilities; `None` without a temperature."""
    found = labels_and_probabilities(evidence, "test")
    fitted = temperature(evidence).value
    return (
        None if found is None or fitted is None else (found[0], apply_temperature(found[1], fitted))
    )


def _bin_indices(confidence: Floats) -> Counts:
    # A bin includes its upper end, as in the papers; the tolerance keeps 0.8 = 12/15 in its bin.
    indices: Counts = np.clip(np.ceil(confidence * BINS - 1e-9) - 1, 0, BINS - 1).astype(np.int64)
    return indices


def _logits(probabilities: Floats) -> Floats:
    logits: Floats = np.log(np.clip(probabilities, np.finfo(np.float64).tiny, 1.0))
    return logits


def _bin_sums(labels: Counts, probabilities: Floats) -> Floats:
    return bin_sums(probabilities.argmax(axis=1) == labels, probabilities.max(axis=1))


def _ece(labels: Counts, probabilities: Floats) -> float:
    return expected_calibration_error(to_bins(_bin_sums(labels, probabilities)))


def _after_scaling(figure: Callable[[Counts, Floats], float]) -> Callable[[Evidence], float | None]:
    return compute_from(_scaled_probabilities, lambda found: figure(*found))


_fitted = compute_from(temperature, lambda found: found.value)
for _metric in (
    Metric("brier", "Brier score", "", "lower", compute_on_split("test", brier)),
    Metric("ece", "calibration error", "share", "lower", compute_on_split("test", _ece)),
    Metric(
        "ece_chance",
        "calibration error of a perfectly calibrated model",
        "share",
        "neither",
        compute_on_split("test", lambda _, probabilities: chance_ece(probabilities)),
    ),
    Metric("temperature", "temperature fitted on validation", "", "neither", _fitted),
    Metric("scaled_loss", "loss after scaling", "nats", "lower", _after_scaling(cross_entropy)),
    Metric("scaled_brier", "Brier score after scaling", "", "lower", _after_scaling(brier)),
    Metric("scaled_ece", "calibration error after scaling", "share", "lower", _after_scaling(_ece)),
):
    METRICS.add(_metric)
