"""Gradients by matrix products are those that TensorFlow's own tape gives."""

from __future__ import annotations

import keras
import numpy as np
import pytest

if keras.config.backend() != "tensorflow":
    pytest.skip("TensorFlow's gradients", allow_module_level=True)

import tensorflow as tf
from keras import layers

from bench.models.backends import tensorflow_gradients

pytestmark = pytest.mark.slow  # it loads a framework


@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [(1, 1, "same"), (1, 2, "valid"), (3, 1, "same"), (3, 2, "same")],
)
def test_every_kind_of_convolution(size: int, strides: int, padding: str) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((7, 7, 3)),
            layers.Conv2D(5, 1, activation="relu6"),
            layers.Conv2D(4, size, strides=strides, padding=padding),
            layers.DepthwiseConv2D(3),
        ]
    )
    x = tf.constant(np.random.default_rng(0).normal(size=(6, 7, 7, 3)).astype("float32"))
    variables = model.trainable_variables

    @tf.function(autograph=False)
    def ours() -> list[tf.Tensor]:
        with tensorflow_gradients.taken_as_products():
            value = tf.reduce_mean(model(x) ** 2)
        return tensorflow_gradients.gradients(value, variables)

    with tf.GradientTape() as tape:
        value = tf.reduce_mean(model(x) ** 2)
    theirs = tape.gradient(value, [v.value for v in variables])
    for mine, usual in zip(ours(), theirs, strict=True):
        np.testing.assert_allclose(mine, usual, rtol=1e-4, atol=1e-7)
    products = [
        operation
        for operation in ours.get_concrete_function().graph.get_operations()
        if operation.type == "MatMul" and "gradients" in operation.name
    ]
    assert len(products) == (4 if (size, strides) == (1, 1) else 2)  # by input and by kernel
