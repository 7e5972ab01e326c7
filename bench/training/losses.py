"""Class probabilities and their cross-entropy, as used by training, probes and reports."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def softmax(logits: Array) -> Array:
    """Return the softmax of logits over the last dimension."""
    powers: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def logits_to_probabilities(logits: Array) -> Array:
    """Return the class probabilities for a head's logits, in float64. A single logit is that of the
    second of two classes."""
    z = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # NaN stays NaN: training reports it
        if z.shape[-1] != 1:
            return softmax(z)
        positive = np.exp(-np.logaddexp(0, -z[..., 0]))
    return np.stack([1 - positive, positive], axis=-1)


def true_class_probabilities(labels: Array, probabilities: Array) -> Array:
    """Return the predicted probability of each image's true class."""
    return probabilities[np.arange(len(labels)), labels]


def log_losses(of_true: Array) -> Array:
    """Return -ln of the probabilities of true classes."""
    # Clipped as in scikit-learn, so that one certain mistake does not make a mean infinite.
    smallest = np.finfo(np.float64).eps
    losses: Array = -np.log(np.clip(of_true, smallest, 1 - smallest))
    return losses


def cross_entropy(labels: Array, probabilities: Array) -> float:
    """Return the mean over the images of -ln(probability of the true class)."""
    return float(log_losses(true_class_probabilities(labels, probabilities)).mean())
