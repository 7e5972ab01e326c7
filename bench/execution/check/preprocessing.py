"""Checks of what happens between pixels and the first weights; Keras says what its own networks
expect."""

from __future__ import annotations

import importlib
import re
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from bench.errors import CheckError
from bench.execution.check.subject import Subject, computed, preprocess
from bench.models.backends.base import Array
from bench.models.network import kernels
from bench.registry import resolve
from bench.types import Backbone, FetchedWeights, PackagedWeights, Reference

LEAST_SPAN = 0.05  # 255 levels squeezed into less were rescaled more than once
GREATEST_SPAN = 1000.0  # four times what pixels span when they are not rescaled at all
RANGE_TOLERANCE = 1e-3  # of the declared span
UNCHANGING = layers.InputLayer | layers.ZeroPadding2D  # of values on their way
KERAS_WEIGHTS = re.compile(r"https://storage\.googleapis\.com/(tensorflow/)?keras-applications/")


def check_preprocess(subject: Subject) -> str:
    """Check that it gives the same twice, and the same for an image alone as in a batch."""
    pixels = _all_pixels()
    model = _model(subject, pixels)
    together, again = computed(model(pixels)), computed(model(pixels))
    if not np.isfinite(together).all():
        raise CheckError(
            "preprocess makes values that are not finite of pixels in 0..255; let it divide by no "
            "pixel and take no logarithm of one."
        )
    if not np.array_equal(together, again):
        raise CheckError(
            "preprocess gives different values for the same pixels; it must not be random "
            "(augmentation is the protocol's)."
        )
    alone = np.concatenate([computed(model(pixels[i : i + 1])) for i in range(len(pixels))])
    if not np.allclose(together, alone, rtol=1e-5, atol=1e-5):
        raise CheckError(
            "preprocess gives an image other values when others are in its batch; it must treat "
            "each image alone."
        )
    return "float32 of the same shape"


def check_range(subject: Subject) -> str:
    """Check the results for all 256 values in each channel."""
    pixels = _all_pixels()
    values = computed(_model(subject, pixels)(pixels))
    low, high = float(values.min()), float(values.max())
    declared = subject.backbone.preprocessed_range
    if declared is None:
        return f"preprocessed_range is not declared; found ({low:.6g}, {high:.6g})"
    tolerance = RANGE_TOLERANCE * max(high - low, 1e-6)
    if abs(low - declared[0]) > tolerance or abs(high - declared[1]) > tolerance:
        raise CheckError(
            f"0..255 became {low:.6g}..{high:.6g}, where preprocessed_range says "
            f"{declared[0]:.6g}..{declared[1]:.6g}; correct whichever is wrong."
        )
    return f"{low:.6g}..{high:.6g}"


def check_rescaling(subject: Subject) -> str:
    """Check that a network that rescales has no preprocessing, and that no range collapses."""
    network = subject.built
    first = next((x for x in network.base.layers if kernels(x)), None)
    if first is None:
        return "no convolution or dense layer to look at"
    _check_as_keras(subject, first)
    size = network.input_size
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype="uint8")
    prepared = computed(network.preprocess(pixels))
    before = network.base.layers[: network.base.layers.index(first)]
    rescalers = [x.name for x in before if isinstance(x, layers.Rescaling | layers.Normalization)]
    if rescalers and not np.allclose(prepared, pixels, atol=1e-3):
        raise CheckError(
            f"the network rescales its own input (layer {rescalers[0]!r}) and preprocess does so "
            f"before it; let preprocess return the images unchanged."
        )
    values = computed(keras.Model(network.base.input, first.input)(prepared))
    # The rim may be the zeros of a padding layer, which would hide a collapsed range.
    height, width = values.shape[1] // 4, values.shape[2] // 4
    inner = values[:, height : values.shape[1] - height, width : values.shape[2] - width]
    low, high = float(inner.min()), float(inner.max())
    if not LEAST_SPAN <= high - low <= GREATEST_SPAN:
        often = "more than once" if high - low < LEAST_SPAN else "the wrong way"
        raise CheckError(
            f"0..255 reaches the first weights ({first.name!r}) as {low:.4g}..{high:.4g}: pixels "
            f"are rescaled {often}; rescale in preprocess or in the network, not in both."
        )
    return f"{low:.4g}..{high:.4g} at {first.name!r}"


def _check_as_keras(subject: Subject, first: Any) -> None:
    """Compare the preprocessing with that of the network's module in `keras.applications`.

    Only where nothing but padding comes before the first weights: a custom builder may rescale
    inside the network.
    """
    operations = subject.built.base.operations
    before = operations[: operations.index(first)]
    reference = expected_preprocessing(subject.backbone)
    if reference is None or not all(isinstance(x, UNCHANGING) for x in before):
        return
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype="uint8")
    pixels[0, 0], pixels[0, 1] = 0, 255
    expected = computed(resolve(reference)(pixels.astype("float32")))
    found = computed(_model(subject, pixels)(pixels))
    low, high = float(expected.min()), float(expected.max())
    if not np.allclose(found, expected, rtol=0, atol=RANGE_TOLERANCE * (high - low)):
        raise CheckError(
            f"preprocess makes {found.min():.6g}..{found.max():.6g} of 0..255; the network is "
            f"Keras', whose own preprocessing for it makes {low:.6g}..{high:.6g}"
            f".\n"
            f'Declare preprocess="{reference}", or the weights that expect something else.'
        )


def _all_pixels() -> Array:
    """Return two images: one with all 256 values in each channel, and a black one."""
    every = np.arange(256, dtype="uint8").reshape(16, 16, 1).repeat(3, axis=2)
    return np.stack([every, np.zeros_like(every)])


def _model(subject: Subject, pixels: Array) -> Any:
    """Return the preprocessing alone, as `Network` puts it before the network."""
    image = keras.Input(pixels.shape[1:], dtype="uint8")
    prepared = preprocess(subject.backbone.preprocess, ops.cast(image, "float32"))
    return keras.Model(image, prepared)


def expected_preprocessing(backbone: Backbone) -> str | None:
    """Return the reference to Keras' own preprocessing for the backbone's network.

    None where the network is not Keras', or its weights are declared to be others than Keras'.
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
    """Return the modules of `keras.applications` that a builder is from, or refers to."""
    function = resolve(build)
    named: list[Any] = []
    while isinstance(function, partial):
        named += [*function.args, *function.keywords.values()]
        function = function.func
    code = getattr(function, "__code__", None)
    if code is not None:
        named += [*code.co_names, *code.co_consts]
    builders = [getattr(keras.applications, n, None) for n in named if isinstance(n, str)]
    found = {getattr(one, "__module__", "") for one in (function, *builders) if callable(one)}
    return {module.rpartition(".")[2] for module in found if ".applications." in module}
