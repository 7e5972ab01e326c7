"""A real but very small backbone: branches, a residual, BatchNorm and four stages.

It has the interface of the large ones, so that tests use the harness without patches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.models.backends.base import Array
from bench.storage.cache import Entry, Store
from bench.types import Backbone

SIZE = 32


def build(
    input_shape: tuple[int, int, int], include_top: bool = False, weights: None = None
) -> Any:
    import keras
    from keras import layers

    def block(x: Any, filters: int, name: str) -> Any:
        y = layers.Conv2D(filters, 3, strides=2, padding="same", name=f"{name}_conv")(x)
        y = layers.BatchNormalization(name=f"{name}_bn")(y)
        y = layers.ReLU(name=f"{name}_relu")(y)
        z = layers.DepthwiseConv2D(3, padding="same", name=f"{name}_depthwise")(y)
        z = layers.BatchNormalization(name=f"{name}_bn2")(z)
        return layers.Add(name=f"{name}_add")([y, z])

    image = keras.Input(input_shape)
    x = block(image, 4, "one")
    x = block(x, 6, "two")
    left = layers.Conv2D(4, 1, name="three_left")(x)
    right = layers.Conv2D(4, 3, padding="same", name="three_right")(x)
    x = layers.Concatenate(name="three_join")([left, right])
    x = block(x, 8, "four")
    return keras.Model(image, x, name="tiny")


def preprocess(x: Any) -> Any:
    return x / 127.5 - 1.0


TINY = Backbone(
    name="tiny",
    build=build,
    preprocess=preprocess,
    input_size=SIZE,
    stages=("one_add", "two_add", "three_join", "four_add"),
    minimum_size=16,
    preprocessed_range=(-1.0, 1.0),
)


def images(count: int, seed: int, classes: int = 2) -> tuple[Array, Array]:
    """Return noise with a tint by class and a bright left side: learnable, and not symmetric."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    pixels = rng.integers(0, 120, (count, SIZE, SIZE, 3))
    pixels[:, :, : SIZE // 2] += 40
    pixels[np.arange(count), :, :, labels % 3] += 60
    return pixels.astype("uint8"), labels.astype("int64")


def write_images(
    folder: Path, counts: Mapping[str, int], classes: Sequence[str] = ("cat", "dog")
) -> None:
    """Write images with a folder per split and class, with alternating classes."""
    for seed, (split, count) in enumerate(counts.items()):
        pixels, labels = images(count, seed, len(classes))
        for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            path = folder / split / classes[label] / f"{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)


def store_images(store: Store, name: str, pixels: Array) -> Entry:
    """Write pixels into the store, as the data preparation does."""

    def fill(draft: Any) -> None:
        draft.append(pixels)

    return store.get_or_create("images", {"name": name}, name, pixels.nbytes, fill)
