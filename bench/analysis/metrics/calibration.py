"""Calibration: whether 80% of the answers given with 80% confidence are right.

The expected calibration error puts the probability of the predicted class into `BINS` bins of equal
width from 0 to 1, and averages the distance between accuracy and mean probability, weighted by
images. On few images it is above 0 by chance even for a perfect model; `chance_ece` says how far.

Temperature scaling divides the logits by one number, fitted to minimise the validation loss. It
changes no answer, only its confidence, and needs only stored probabilities: softmax logits are
their logarithms, up to a constant, and one sigmoid is a softmax over two classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import inf, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.base import METRICS, Metric, derived
from bench.analysis.metrics.classification import Counts, Floats, answers, of_answers, parts
from bench.analysis.statistics import wilson
from bench.storage.records import Evidence
from bench.training.losses import cross_entropy, of_true, softmax

BINS = 15
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
MIN_IMAGES = 50  # on validation
MAX_STANDARD_ERROR = 0.5  # standard error of a temperature, as a share of it


@dataclass(frozen=True)
class Bin:
    """The images whose confidence lies in one bin."""

    images: int
    confidence: float  # mean
    right: float  # share

    def interval(self, seeds: int) -> tuple[float, float]:
        """Return the 95% interval of the share. The seeds answered the same images: they are one
        sample of images, not several."""
        images = max(1, round(self.images / seeds))
        return wilson(self.right * images, images)


@dataclass(frozen=True)
class Temperature:
    """What the logits are divided by: above 1 if overconfident, below 1 if underconfident.

    `value` is `None`, with the reason, if there are too few validation images.
    """

    value: float | None
    reason: str = ""


def binned(right: NDArray[np.bool_], confidence: Floats) -> Floats:
    """Return the images, their summed confidence and the right answers among them (3 x bins);
    those of several trials add up."""
    place, sums = _bin_of(confidence), np.zeros((3, BINS))
    for number in np.unique(place):
        here = place == number
        sums[:, number] = here.sum(), confidence[here].sum(), right[here].sum()
    return sums


def bins(sums: Floats) -> tuple[Bin, ...]:
    """Return the non-empty ones of what `binned` returned, by rising confidence."""
    return tuple(
        Bin(int(images), float(confidence / images), float(right / images))
        for images, confidence, right in sums.T
        if images
    )


def expected_calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the mean distance of confidence from accuracy, weighted by images."""
    images = sum(one.images for one in bins)
    return sum(one.images * abs(one.confidence - one.right) for one in bins) / images


def chance_ece(probabilities: Floats) -> float:
    """Return the error expected by chance if these probabilities were exactly right.

    The number of right answers in a bin is then a sum of independent Bernoulli variables, and the
    mean absolute deviation of a normal variable is its standard deviation times sqrt(2/pi).
    """
    confidence = probabilities.max(axis=1)
    variances = np.bincount(_bin_of(confidence), confidence * (1 - confidence))
    return float(sqrt(2 / pi) * np.sqrt(variances).sum() / len(confidence))


def brier(labels: Counts, probabilities: Floats) -> float:
    """Return half the squared distance from the truth, 0 to 1; for two classes (p - y)²."""
    missing, of_image = 1 - of_true(labels, probabilities), np.empty(len(labels))
    for part in parts(probabilities):
        squares = probabilities[part] ** 2
        squares[np.arange(len(squares)), labels[part]] = missing[part] ** 2
        of_image[part] = squares.sum(axis=1)
    return float(of_image.mean() / 2)


def scaled(probabilities: Floats, temperature: float) -> Floats:
    """Return the probabilities after dividing the logits by `temperature`."""
    found = np.empty(probabilities.shape)
    for part in parts(probabilities):
        found[part] = softmax(_logits(probabilities[part]) / temperature)
    return found


def fit_temperature(labels: Counts, probabilities: Floats) -> Temperature:
    """Fit the temperature with the lowest loss on these (validation) images."""
    if len(labels) < MIN_IMAGES:
        return Temperature(None, f"{len(labels)} validation images, fewer than {MIN_IMAGES}")
    logits = _logits(probabilities)
    true = of_true(labels, logits)
    coldest, hottest = (_slope(logits, true, 1 / t)[0] for t in (MIN_TEMPERATURE, MAX_TEMPERATURE))
    if coldest >= 0 or hottest <= 0:
        wrong = int((probabilities.argmax(axis=1) != labels).sum())
        return Temperature(None, f"{wrong} of {len(labels)} validation images wrong, no optimum")
    factor, information = _most_likely(logits, true)
    error = 1 / (factor * sqrt(information)) if information > 0 else inf
    if error > MAX_STANDARD_ERROR:
        return Temperature(None, f"validation leaves it uncertain by ±{100 * error:.0f}%")
    return Temperature(1 / factor)


def _slope(logits: Floats, true: Floats, factor: float) -> tuple[float, float]:
    """Return the slope of the log-likelihood in `factor`, 1/temperature, and how fast it falls."""
    mean, information = np.empty(len(logits)), 0.0
    for part in parts(logits):
        shares = softmax(logits[part] * factor)
        mean[part] = (shares * logits[part]).sum(axis=1)
        information += float((shares * (logits[part] - mean[part, None]) ** 2).sum())
    return float((true - mean).sum()), information


def _most_likely(logits: Floats, true: Floats) -> tuple[float, float]:
    """Return the factor at the single maximum of the log-likelihood, and its curvature."""
    low, factor, high = 1 / MAX_TEMPERATURE, 1.0, 1 / MIN_TEMPERATURE
    while True:
        slope, information = _slope(logits, true, factor)
        newton = factor + slope / information if information > 0 else inf
        if abs(newton - factor) <= 1e-10 * factor or high - low <= 1e-10 * factor:
            return factor, information
        low, high = (factor, high) if slope > 0 else (low, factor)
        # If Newton's step leaves the bracket, bisect instead.
        factor = newton if low < newton < high else (low + high) / 2


@lru_cache(maxsize=1)  # the figures of one trial are derived one after the other
def temperature(evidence: Evidence) -> Temperature:
    """Fit on the trial's validation images."""
    found = answers(evidence, "validation")
    if found is None:
        return Temperature(None, "no usable validation probabilities are stored")
    return fit_temperature(*found)


def scaled_bins(evidence: Evidence) -> Floats | None:
    """Return the bins of the test answers after temperature scaling."""
    found = calibrated(evidence)
    return None if found is None else _binned(*found)


@lru_cache(maxsize=1)
def calibrated(evidence: Evidence) -> tuple[Counts, Floats] | None:
    """Return test labels and temperature-scaled probabilities, if there is a temperature."""
    found = answers(evidence, "test")
    fitted = temperature(evidence).value
    return None if found is None or fitted is None else (found[0], scaled(found[1], fitted))


def _bin_of(confidence: Floats) -> Counts:
    # A bin includes its upper end, as in the papers; the tolerance keeps 0.8 = 12/15 in its bin.
    place: Counts = np.clip(np.ceil(confidence * BINS - 1e-9) - 1, 0, BINS - 1).astype(np.int64)
    return place


def _logits(probabilities: Floats) -> Floats:
    logits: Floats = np.log(np.clip(probabilities, np.finfo(np.float64).tiny, 1.0))
    return logits


def _binned(labels: Counts, probabilities: Floats) -> Floats:
    return binned(probabilities.argmax(axis=1) == labels, probabilities.max(axis=1))


def _ece(labels: Counts, probabilities: Floats) -> float:
    return expected_calibration_error(bins(_binned(labels, probabilities)))


def _after(figure: Callable[[Counts, Floats], float]) -> Callable[[Evidence], float | None]:
    return derived(calibrated, lambda found: figure(*found))


_fitted = derived(temperature, lambda found: found.value)
for _metric in (
    Metric("brier", "Brier score", "", "lower", of_answers("test", brier)),
    Metric("ece", "calibration error", "share", "lower", of_answers("test", _ece)),
    Metric(
        "ece_chance",
        "calibration error of as many exact probabilities",
        "share",
        "neither",
        of_answers("test", lambda _, probabilities: chance_ece(probabilities)),
    ),
    Metric("temperature", "temperature fitted on validation", "", "neither", _fitted),
    Metric("scaled_loss", "loss after scaling", "nats", "lower", _after(cross_entropy)),
    Metric("scaled_brier", "Brier score after scaling", "", "lower", _after(brier)),
    Metric("scaled_ece", "calibration error after", "share", "lower", _after(_ece)),
):
    METRICS.add(_metric)
