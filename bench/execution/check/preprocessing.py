"""Checks of the processing between pixels and the first weights.

For networks of `keras.applications`, Keras' own preprocessing is the reference.
"""

from __future__ import annotations

import importlib
import re
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from bench.errors import CheckError
from bench.execution.check.subject import Subject, apply_preprocessing, to_array
from bench.models.backends.base import Array
from bench.models.network import kernels
from bench.registry import resolve
from bench.types import Backbone, FetchedWeights, PackagedWeights, Reference

MIN_SPAN = 0.05  # a smaller range for 0..255 means that pixels were rescaled more than once
MAX_SPAN = 1000.0  # four times the range of pixels without rescaling
RANGE_TOLERANCE = 1e-3  # relative to the width of the range
VALUE_PRESERVING = layers.InputLayer | layers.ZeroPadding2D
KERAS_WEIGHTS = re.compile(r"https://storage\.googleapis\.com/(tensorflow/)?keras-applications/")


def check_preprocess(subject: Subject) -> str:
    """Check that preprocessing is finite, not random, and independent of the rest of the batch."""
    pixels = _all_pixels()
    model = _model(subject, pixels)
    together, again = to_array(model(pixels)), to_array(model(pixels))
    if not np.isfinite(together).all():
        raise CheckError(
            "preprocess returns values that are not finite for pixels in 0..255; it must not "
            "divide by a pixel or take its logarithm."
        )
    if not np.array_equal(together, again):
        raise CheckError(
            "preprocess returns different values for the same pixels; it must not be random "
            "(augmentation is part of the protocol)."
        )
    alone = np.concatenate([to_array(model(pixels[i : i + 1])) for i in range(len(pixels))])
    if not np.allclose(together, alone, rtol=1e-5, atol=1e-5):
        raise CheckError(
            "preprocess returns other values for an image when others are in its batch; it must "
            "treat each image alone."
        )
    return "float32 of the same shape"


def check_range(subject: Subject) -> str:
    """Check the range of the preprocessed values against the declared one."""
    pixels = _all_pixels()
    values = to_array(_model(subject, pixels)(pixels))
    low, high = float(values.min()), float(values.max())
    declared = subject.backbone.preprocessed_range
    if declared is None:
        return f"preprocessed_range is not declared; found ({low:.6g}, {high:.6g})"
    tolerance = RANGE_TOLERANCE * max(high - low, 1e-6)
    if abs(low - declared[0]) > tolerance or abs(high - declared[1]) > tolerance:
        raise CheckError(
            f"0..255 became {low:.6g}..{high:.6g}, but preprocessed_range is "
            f"{declared[0]:.6g}..{declared[1]:.6g}; correct whichever is wrong."
        )
    return f"{low:.6g}..{high:.6g}"


def check_rescaling(subject: Subject) -> str:
    """Check that pixels are rescaled exactly once, by preprocessing or by the network."""
    network = subject.built
    first = next((x for x in network.base.layers if kernels(x)), None)
    if first is None:
        return "no convolution or dense layer to check"
    _check_as_keras(subject, first)
    size = network.input_size
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype="uint8")
    prepared = to_array(network.preprocess(pixels))
    before = network.base.layers[: network.base.layers.index(first)]
    rescalers = [x.name for x in before if isinstance(x, layers.Rescaling | layers.Normalization)]
    if rescalers and not np.allclose(prepared, pixels, atol=1e-3):
        raise CheckError(
            f"the network rescales its input (layer {rescalers[0]!r}) and preprocess does so, too; "
            f"let preprocess return the images unchanged."
        )
    values = to_array(keras.Model(network.base.input, first.input)(prepared))
    # Ignore the border: zeros of a padding layer would hide a collapsed range.
    height, width = values.shape[1] // 4, values.shape[2] // 4
    inner = values[:, height : values.shape[1] - height, width : values.shape[2] - width]
    low, high = float(inner.min()), float(inner.max())
    if not MIN_SPAN <= high - low <= MAX_SPAN:
        often = "more than once" if high - low < MIN_SPAN else "the wrong way"
        raise CheckError(
            f"0..255 reaches the first weights ({first.name!r}) as {low:.4g}..{high:.4g}: pixels "
            f"are rescaled {often}; rescale in preprocess or in the network, not in both."
        )
    return f"{low:.4g}..{high:.4g} at {first.name!r}"


def _check_as_keras(subject: Subject, first: Any) -> None:
    """Compare the preprocessing with that of the network's module in `keras.applications`.

    Skipped if other layers than padding precede the first weights: a custom builder may rescale
    inside the network.
    """
    operations = subject.built.base.operations
    before = operations[: operations.index(first)]
    reference = expected_preprocessing(subject.backbone)
    if reference is None or not all(isinstance(x, VALUE_PRESERVING) for x in before):
        return
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype="uint8")
    pixels[0, 0], pixels[0, 1] = 0, 255
    expected = to_array(resolve(reference)(pixels.astype("float32")))
    found = to_array(_model(subject, pixels)(pixels))
    low, high = float(expected.min()), float(expected.max())
    if not np.allclose(found, expected, rtol=0, atol=RANGE_TOLERANCE * (high - low)):
        raise CheckError(
            f"preprocess maps 0..255 to {found.min():.6g}..{found.max():.6g}, but Keras' own "
            f"preprocessing for this network maps it to {low:.6g}..{high:.6g}.\n"
            f'Declare preprocess="{reference}", or the weights that expect another range.'
        )


def _all_pixels() -> Array:
    """Return two images: one with all 256 values in each channel, and a black image."""
    every = np.arange(256, dtype="uint8").reshape(16, 16, 1).repeat(3, axis=2)
    return np.stack([every, np.zeros_like(every)])


def _model(subject: Subject, pixels: Array) -> Any:
    """Return a model of the preprocessing alone, applied as in `Network`."""
    image = keras.Input(pixels.shape[1:], dtype="uint8")
    prepared = apply_preprocessing(subject.backbone.preprocess, ops.cast(image, "float32"))
    return keras.Model(image, prepared)


def expected_preprocessing(backbone: Backbone) -> str | None:
    """Return the reference to Keras' own preprocessing for the backbone's network.

    None: the network is not from `keras.applications`, or its declared weights are not Keras'.
    """
    weights = backbone.weights
    if isinstance(weights, PackagedWeights | FetchedWeights):
        return None
    if isinstance(weights, tuple) and not all(KERAS_WEIGHTS.match(file.url) for file in weights):
        return None
    modules = {f"keras.applications.{name}" for name in _modules(backbone.build)}
    if len(modules) != 1:
        return None
    (module,) = modules
    found = hasattr(importlib.import_module(module), "preprocess_input")
    return f"{module}:preprocess_input" if found else None


def _modules(build: Reference) -> set[str]:
    """Return the modules of `keras.applications` that a builder comes from or refers to."""
    function = resolve(build)
    constants: list[Any] = []
    while isinstance(function, partial):
        constants += [*function.args, *function.keywords.values()]
        function = function.func
    code = getattr(function, "__code__", None)
    if code is not None:
        constants += [*code.co_names, *code.co_consts]
    builders = [getattr(keras.applications, n, None) for n in constants if isinstance(n, str)]
    found = {getattr(one, "__module__", "") for one in (function, *builders) if callable(one)}
    return {module.rpartition(".")[2] for module in found if ".applications." in module}
