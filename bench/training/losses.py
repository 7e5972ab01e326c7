"""Class probabilities and their cross-entropy: one figure for training, the probes and reports."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def softmax(logits: Array) -> Array:
    """Return the probabilities that these logits (images x classes) stand for."""
    powers: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


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
