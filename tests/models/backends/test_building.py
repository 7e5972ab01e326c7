"""The initial values of a network, on every Keras backend."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from bench.models.backends.base import current_backend

pytestmark = pytest.mark.slow  # it loads a framework

SPREADS = {
    "zeros": 0.0,
    "ones": 0.0,
    "glorot_uniform": (2 / 320) ** 0.5,
    "he_normal": (2 / 300) ** 0.5,
    "random_normal": 0.05,
    "random_uniform": 0.1 / 12**0.5,
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", SPREADS)
def test_initial_values_have_the_declared_spread(name: str, dtype: str) -> None:
    with current_backend().building_context():
        made = keras.Variable(keras.initializers.get(name), shape=(300, 20), dtype=dtype)
    assert keras.backend.standardize_dtype(made.value.dtype) == dtype
    found = ops.convert_to_numpy(ops.cast(made, "float32"))
    assert found.std() == pytest.approx(SPREADS[name], rel=0.05)
    assert found.mean() == pytest.approx(float(name == "ones"), abs=0.01)


class Noisy(keras.layers.Layer):  # type: ignore[misc]
    """Draws random numbers and calls an initializer in every call."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x: Any) -> Any:
        factor = keras.initializers.RandomNormal(seed=self.seed)((1,))
        return x + factor * keras.random.normal(ops.shape(x), seed=self.seed)


def test_layers_that_draw_random_numbers_can_be_built() -> None:
    image = keras.Input((8, 8, 3))
    with current_backend().building_context():
        model = keras.Model(image, Noisy()(image))
    pixels = np.zeros((2, 8, 8, 3), "float32")
    assert np.asarray(ops.convert_to_numpy(model(pixels))).std() > 0
