"""Preprocessing as a layer, for a format that holds layers and no operations.

What backbones declare is, in all the usual ways, the same thing: each output channel is a sum of
input channels times a number, plus a number. Which numbers is read off the function itself, from
five colours, and checked on random ones.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from bench.errors import BenchError
from bench.models.backends.base import Array

TOLERANCE = 1e-4  # of the preprocessed range


def with_preprocessing_layers(model: Any) -> Any:
    """The same model over the same weights, its `preprocess` model replaced by layers."""

    def call(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        if layer.name == "preprocess":
            return _as_layers(layer, arguments[0])
        return layer(*arguments, **keywords)

    return keras.models.clone_model(model, clone_function=lambda x: x, call_function=call)


def _as_layers(preprocess: Any, image: Any) -> Any:
    matrix, offset = _affine(preprocess, image.shape[1])
    floats = layers.Rescaling(1.0, dtype="float32", name="to_float")(image)
    convolution = layers.Conv2D(3, 1, name="preprocessing", trainable=False)
    values = convolution(floats)
    convolution.set_weights([matrix[None, None], offset])
    return values


def _affine(preprocess: Any, size: int) -> tuple[Array, Array]:
    """The matrix and offset of `values = pixels @ matrix + offset`."""
    black = np.zeros(3, "uint8")
    primaries = np.eye(3, dtype="uint8") * 255
    offset, *columns = (_of_colour(preprocess, size, c) for c in (black, *primaries))
    matrix = (np.stack(columns) - offset) / 255
    noise = np.random.default_rng(0).integers(0, 256, (1, size, size, 3)).astype("uint8")
    expected = _numpy(preprocess(noise))
    error = np.abs(noise @ matrix + offset - expected).max()
    if error > TOLERANCE * max(1.0, float(np.ptp(expected))):
        raise BenchError(
            "an .h5 file cannot hold this backbone's preprocessing, which is more than a scale "
            "and an offset of each channel; use --format keras."
        )
    return matrix.astype("float32"), offset.astype("float32")


def _of_colour(preprocess: Any, size: int, colour: Array) -> Array:
    image = np.broadcast_to(colour, (1, size, size, 3))
    found: Array = _numpy(preprocess(image))[0, 0, 0].astype(np.float64)
    return found


def _numpy(tensor: Any) -> Array:
    array: Array = keras.ops.convert_to_numpy(tensor)
    return array
