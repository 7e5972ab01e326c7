"""The fused Adam gives what Keras' own gives."""

from __future__ import annotations

import keras
import numpy as np
import pytest

if keras.config.backend() != "tensorflow":
    pytest.skip("only TensorFlow has the fused operation", allow_module_level=True)

import tensorflow as tf

from bench.models.backends import tensorflow_adam

pytestmark = pytest.mark.slow  # it loads a framework


def test_three_steps_are_those_of_keras() -> None:
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype("float32") for shape in ((3, 4), (5,))]
    gradients = [[rng.normal(size=a.shape).astype("float32") for a in start] for _ in range(3)]

    def train(fused: bool) -> list[np.ndarray]:
        variables = [keras.Variable(a) for a in start]
        optimizer = keras.optimizers.Adam(0.01)
        optimizer.build(variables)
        for step in gradients:
            tensors = [tf.constant(g) for g in step]
            if fused:
                tensorflow_adam.apply(optimizer, tensors, variables)
            else:
                optimizer.apply(tensors, variables)
        assert int(optimizer.iterations) == 3
        return [keras.ops.convert_to_numpy(v) for v in (*variables, *optimizer.variables)]

    for ours, theirs in zip(train(fused=True), train(fused=False), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_the_first_step_by_hand() -> None:
    # With m and v corrected for their start, the first step is the rate times the gradient's sign.
    variable = keras.Variable(np.array([1.0, 1.0], "float32"))
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build([variable])
    tensorflow_adam.apply(optimizer, [tf.constant([4.0, -0.5])], [variable])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), [0.9, 1.1], rtol=1e-5)


def test_only_plain_adam_is_taken() -> None:
    assert tensorflow_adam.is_plain_adam(keras.optimizers.Adam(0.3, beta_1=0.5))
    assert not tensorflow_adam.is_plain_adam(keras.optimizers.Adam(amsgrad=True))
    assert not tensorflow_adam.is_plain_adam(keras.optimizers.Adam(clipnorm=1.0))
    assert not tensorflow_adam.is_plain_adam(keras.optimizers.AdamW())
    assert not tensorflow_adam.is_plain_adam(keras.optimizers.SGD())
