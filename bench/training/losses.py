"""Class probabilities and their cross-entropy: one figure for training, the probes and reports."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def softmax(logits: Array) -> Array:
    """Return the probabilities that these logits stand for, one in the last dimension per class."""
    powers: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def probabilities(logits: Array) -> Array:
    """Return the class probabilities that a head's logits stand for, in float64; a single logit is
    that of the second of two classes."""
    z = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # NaN stays NaN, which training reports
        if z.shape[-1] != 1:
            return softmax(z)
        positive = np.exp(-np.logaddexp(0, -z[..., 0]))
    return np.stack([1 - positive, positive], axis=-1)


def of_true(labels: Array, probabilities: Array) -> Array:
    """Return the probability of each image's true class."""
    return probabilities[np.arange(len(labels)), labels]


def log_losses(of_true: Array) -> Array:
    """Return -ln of each of these probabilities of a true class."""
    # One certain mistake must not make a mean infinite; scikit-learn clips at the same place.
    smallest = np.finfo(np.float64).eps
    found: Array = -np.log(np.clip(of_true, smallest, 1 - smallest))
    return found


def cross_entropy(labels: Array, probabilities: Array) -> float:
    """Return the mean over the images of -ln(probability of the true class)."""
    return float(log_losses(of_true(labels, probabilities)).mean())
