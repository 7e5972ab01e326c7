"""Multiply-accumulates counted from the shapes of layers: convolutions of any kind, and dense."""

from __future__ import annotations

import math
from typing import Any

import keras


def macs(model: Any) -> int:
    """Multiply-accumulates for one image.

    Each weight of a kernel is used once at every position of its layer's output; biases,
    normalization, activations and pooling are not counted, as is usual.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += macs(layer)
            continue
        positions = math.prod(layer.output.shape[1:-1])
        total += sum(positions * math.prod(kernel.shape) for kernel in kernels(layer))
    return total


def kernels(layer: Any) -> list[Any]:
    """The weights of a layer that multiply what comes in."""
    return [weight for weight in layer.weights if weight.name.endswith("kernel")]
