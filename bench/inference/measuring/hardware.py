"""What the hardware does: matrix products for its best speed and its steadiness.

The products run through the backend with the same threads and precision as the models. One chain
measures the hardware's best speed, so that a model's share of it says how well the hardware is used
and not how two libraries compare. Another, smaller, is the calibration: it knows nothing of any
model, so where it takes longer, something else was running, or the processor slowed down.
"""

from __future__ import annotations

import time

import keras
import numpy as np
from keras import layers, ops

from bench.models.backends.base import current

PEAK = {"cpu": (1024, 8), "gpu": (8192, 32)}  # sides and products of a chain
CALIBRATION = {"cpu": (512, 8), "gpu": (4096, 8)}
REPEATS = 5


class Chain:
    """Matrices of `side` rows and columns, multiplied `products` times in one query."""

    def __init__(self, side: int, products: int) -> None:
        start = keras.Input((side,))
        # Preserves the scale of the values, so that no product meets denormal numbers.
        kernel = keras.initializers.RandomNormal(0.0, side**-0.5, seed=0)
        product = layers.Dense(side, use_bias=False, kernel_initializer=kernel)
        value = start
        with current().building():
            for _ in range(products):
                value = product(value)
        # One number per row: fetching the product would be timed too.
        self._forward = current().forward(keras.Model(start, ops.mean(value, axis=1)))
        self._rows = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
        self.operations = 2.0 * side**3 * products
        self._forward(self._rows)

    def seconds(self) -> list[float]:
        """Return the seconds of a few repeats."""
        taken = []
        for _ in range(REPEATS):
            begun = time.perf_counter()
            self._forward(self._rows)
            taken.append(time.perf_counter() - begun)
        return taken


def matrix_peak() -> float:
    """Return floating-point operations per second, the best of a few repeats."""
    chain = Chain(*PEAK[current().device().kind])
    return chain.operations / min(chain.seconds())


class Calibration:
    """A fixed piece of work that is timed before, between and after; `samples` are seconds."""

    def __init__(self) -> None:
        self._chain = Chain(*CALIBRATION[current().device().kind])
        self.samples: list[float] = []

    def sample(self) -> None:
        """Add the median of a few repeats, so that one interruption does not look like drift."""
        self.samples.append(float(np.median(self._chain.seconds())))
