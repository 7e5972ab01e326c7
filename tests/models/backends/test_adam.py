"""A backend's Adam computes the same updates as Keras' Adam."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.models.backends.base import Array, current_backend

pytestmark = pytest.mark.slow  # it loads a framework


def test_fused_adam_updates_as_keras_adam() -> None:
    import keras

    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape).astype("float32") for shape in ((5, 3), (3,))]
    gradients = [[rng.standard_normal(v.shape).astype("float32") for v in start] for _ in range(4)]

    def trained(adam: Any) -> list[Array]:
        variables = [keras.Variable(value) for value in start]
        optimizer = adam(0.1)
        optimizer.build(variables)
        for of_step in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(one) for one in of_step], variables)
        return [keras.ops.convert_to_numpy(variable) for variable in variables]

    both = zip(start, trained(current_backend().adam), trained(keras.optimizers.Adam), strict=True)
    for before, ours, theirs in both:
        assert np.abs(ours - before).max() > 0.1
        # Four steps of about 0.1; TensorFlow takes 1 - beta_2 of a beta_2 rounded to 32 bits.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
