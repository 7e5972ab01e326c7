"""Heatmaps of known heads add up to what those answer; the pictures of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.analysis.explanations import COLOURS, OPACITY
from bench.inference.heatmaps import compute_heatmaps, overlay
from bench.models.backends.base import Array

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(5, 3, 4, 6))
POOLED = {
    "average": MAPS.mean(axis=(1, 2)),
    "max": MAPS.max(axis=(1, 2)),
    "flatten": MAPS.reshape(5, -1),
}


class Dense:
    """A layer as Keras has it: a kernel and a bias."""

    def __init__(self, inputs: int, units: int) -> None:
        self.kernel, self.bias = RANDOM.normal(size=(inputs, units)), RANDOM.normal(size=units)

    def get_weights(self) -> list[Array]:
        return [self.kernel, self.bias]


class Dropout:
    """A layer without weights."""

    def get_weights(self) -> list[Array]:
        return []


def model(pooling: str, *layers: Any) -> Any:
    return SimpleNamespace(
        network=SimpleNamespace(pooling=pooling), head=SimpleNamespace(layers=layers)
    )


def logits(features: Array, *layers: Any) -> Array:
    *hidden, last = [layer for layer in layers if isinstance(layer, Dense)]
    for layer in hidden:
        features = np.maximum(features @ layer.kernel + layer.bias, 0)
    return np.asarray(features @ last.kernel + last.bias)


@pytest.mark.parametrize("pooling", POOLED)
def test_a_linear_heads_map_adds_up_to_the_logit(pooling: str) -> None:
    head = Dropout(), Dense(POOLED[pooling].shape[1], 4)
    answers = np.array([0, 1, 2, 3, 1])
    found = compute_heatmaps(model(pooling, *head), MAPS, answers)
    assert found.shape == (5, 3, 4)
    relative = logits(POOLED[pooling], *head)
    relative -= relative.mean(axis=1, keepdims=True)
    bias = (head[1].bias - head[1].bias.mean())[answers]
    expected = relative[np.arange(5), answers]
    np.testing.assert_allclose(found.sum(axis=(1, 2)) + bias, expected)


def test_a_single_logit_supports_the_second_class() -> None:
    head = Dense(6, 1)
    found = compute_heatmaps(model("average", head), MAPS, np.array([1, 0, 1, 1, 1]))
    expected = logits(POOLED["average"], head)[:, 0] - head.bias
    expected[1] *= -1
    np.testing.assert_allclose(found.sum(axis=(1, 2)), expected)


@pytest.mark.parametrize("pooling", POOLED)
def test_with_hidden_layers_a_heatmap_is_gradient_times_activation(pooling: str) -> None:
    layers = Dense(POOLED[pooling].shape[1], 7), Dense(7, 5), Dropout(), Dense(5, 3)
    answers = np.array([2, 0, 1, 1, 2])
    found = compute_heatmaps(model(pooling, *layers), MAPS, answers)
    # Differences of the logit along the activations, at each place.
    step = 1e-6
    for row, column in np.ndindex(3, 4):
        changed = []
        for sign in (1, -1):
            maps = MAPS.copy()
            maps[:, row, column] *= 1 + sign * step
            pools = maps.mean(axis=(1, 2)), maps.max(axis=(1, 2)), maps.reshape(5, -1)
            moved = logits(dict(zip(POOLED, pools, strict=True))[pooling], *layers)
            changed.append((moved - moved.mean(axis=1, keepdims=True))[np.arange(5), answers])
        slope = (changed[0] - changed[1]) / (2 * step)
        np.testing.assert_allclose(found[:, row, column], slope, atol=1e-6)


def test_an_overlay_is_bright_where_the_image_supports_the_class() -> None:
    pixels = np.full((4, 4, 3), 100, np.uint8)
    least, most = 100 * (1 - OPACITY) + COLOURS * OPACITY
    drawn = np.asarray(overlay(pixels, np.array([[-3.0, -3.0], [-3.0, 2.0]])))
    np.testing.assert_allclose(drawn[0, 0], least, atol=0.5)
    np.testing.assert_allclose(drawn[-1, -1], most, atol=2)
    against = np.asarray(overlay(pixels, -np.ones((2, 2))))
    np.testing.assert_allclose(against, np.broadcast_to(least, against.shape), atol=0.5)
