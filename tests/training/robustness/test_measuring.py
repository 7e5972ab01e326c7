"""Predictions of corrupted images: which images, one pass each, and the arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny

from bench.models.backends.base import current_backend
from bench.models.cuts import PIXELS
from bench.models.network import Network
from bench.storage.cache import Store
from bench.training.augment import PLAIN
from bench.training.features import FrozenFeatures
from bench.training.prepared import ForwardPassCache
from bench.training.robustness import (
    CORRUPTIONS,
    KINDS,
    STRENGTHS,
    choose_images,
    count_passes,
    predict_corrupted,
)
from bench.training.rows import Rows

pytestmark = pytest.mark.slow  # it loads a framework

Array = np.ndarray[Any, Any]


def test_chosen_images_are_balanced_over_classes() -> None:
    labels = np.array([0] * 90 + [1] * 3 + [2] * 40)
    places = choose_images(labels, 23)
    assert np.bincount(labels[places]).tolist() == [10, 3, 10]
    assert places.tolist() == sorted(set(places.tolist()))
    np.testing.assert_array_equal(places, choose_images(labels, 23))
    assert choose_images(labels, 500).tolist() == list(range(133))


def test_every_image_is_predicted_once_for_each_corruption_and_strength() -> None:
    images, labels = tiny.images(10, 0)
    seen: list[Array] = []

    def answer(rows: Rows) -> Array:
        pixels = np.concatenate([rows.take(np.array([i])) for i in range(len(rows))])
        seen.append(pixels)
        bright = (pixels.mean(axis=(1, 2, 3)) / 255).astype(np.float64)
        return np.stack([1 - bright, bright], axis=1)

    told: list[tuple[int, int]] = []
    arrays = predict_corrupted(
        images, labels, answer, lambda done, total: told.append((done, total))
    )
    assert count_passes(10) == 180
    assert told[-1] == (180, 180)
    assert sum(len(pixels) for pixels in seen) == 180
    assert arrays["robust_probabilities"].shape == (len(KINDS), len(STRENGTHS), 10, 2)
    assert arrays["robust_corruptions"].tolist() == list(KINDS)
    brighter = KINDS.index("brightness")
    np.testing.assert_array_equal(seen[3 * brighter][7], CORRUPTIONS["brightness"](images[7], 1, 7))
    bright = arrays["robust_probabilities"][brighter, :, :, 1].mean(axis=1)
    assert bright[0] < bright[1] < bright[2]


def test_streamed_images_get_the_same_activations_as_the_data_set(store: Store) -> None:
    pixels, _ = tiny.images(9, 3)
    network = Network(tiny.TINY, tiny.SIZE)
    entry = tiny.store_images(store, "test", pixels)
    frozen = FrozenFeatures(ForwardPassCache(network, current_backend()), "", {"test": entry}, None)

    class Plain:
        def __len__(self) -> int:
            return len(pixels)

        def take(self, indices: Array) -> Array:
            return pixels[indices]

    cut, every = "two_add", np.arange(9)
    there = frozen.stream_split("test", PLAIN, cut).take(every)
    np.testing.assert_array_equal(frozen.stream_rows(Plain(), cut).take(every), there)
    np.testing.assert_array_equal(frozen.stream_rows(Plain(), PIXELS).take(every), pixels)
