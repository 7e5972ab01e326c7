"""Depthwise convolution of JAX on a CPU: the same values as Keras', and used in every layer with
one."""

from __future__ import annotations

import os

import numpy as np
import pytest

from bench.models.backends.base import current_backend

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("KERAS_BACKEND") != "jax", reason="of the JAX backend"),
]


@pytest.mark.parametrize(
    ("edges", "size", "strides", "padding", "dilation"),
    [
        ((7, 9), 3, 1, "same", 1),
        ((8, 7), 3, (2, 2), "same", (1, 1)),
        ((9, 9), 5, 2, "valid", 1),
        ((11, 9), 3, 1, "same", 2),
    ],
)
def test_values_and_gradients_equal_those_of_keras(
    edges: tuple[int, int], size: int, strides: int, padding: str, dilation: int
) -> None:
    import jax
    from keras import ops

    from bench.models.backends.jax_depthwise import depthwise_conv

    rng = np.random.default_rng(0)
    images = rng.standard_normal((3, *edges, 4)).astype("float32")
    kernel = rng.standard_normal((size, size, 4, 1)).astype("float32")

    def keras_own(images: object, kernel: object) -> object:
        return ops.depthwise_conv(images, kernel, strides, padding, dilation_rate=dilation)

    def ours(images: object, kernel: object) -> object:
        return depthwise_conv(images, kernel, strides, padding, dilation)

    expected, expected_back = jax.vjp(keras_own, images, kernel)
    found, back = jax.vjp(ours, images, kernel)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    gradient = rng.standard_normal(found.shape).astype("float32")
    for one, other in zip(back(gradient), expected_back(gradient), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_an_optimised_network_has_no_depthwise_convolution_of_xla() -> None:
    import jax
    import keras
    from keras import layers

    image = keras.Input((8, 8, 4))
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(image)
    x = layers.SeparableConv2D(6, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(6, 3, groups=6)(x)
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(2, use_bias=False)(x))
    model = keras.Model(image, x)
    for weight in model.weights:
        weight.assign(np.random.default_rng(1).uniform(0.1, 1, weight.shape))
    optimised = current_backend().optimise(model)
    images = np.random.default_rng(0).standard_normal((2, 8, 8, 4)).astype("float32")

    np.testing.assert_allclose(optimised(images), model(images), rtol=1e-5, atol=1e-5)
    assert "feature_group_count=4" in str(jax.make_jaxpr(model)(images))
    groups = {
        word for word in str(jax.make_jaxpr(optimised)(images)).split() if "group_count" in word
    }
    assert groups <= {"feature_group_count=1", "batch_group_count=1"}
