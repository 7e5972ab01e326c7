"""Matrix products that measure the best speed of the hardware, and how steady it is.

The products run through the backend with the same threads and precision as the models. One chain
measures the best speed, so that a model's fraction of it says how well the hardware is used and not
how two libraries compare. A smaller one is the calibration: it depends on no model, so if it takes
longer, another program was running, or the processor slowed down.
"""

from __future__ import annotations

import time

import keras
import numpy as np
from keras import layers, ops

from bench.models.backends.base import current_backend

PEAK = {"cpu": (1024, 8), "gpu": (8192, 32)}  # side of the matrices, and number of products
CALIBRATION = {"cpu": (512, 8), "gpu": (4096, 8)}
REPEATS = 5


class MatrixChain:
    """A model of `products` successive products of square matrices with `side` rows."""

    def __init__(self, side: int, products: int) -> None:
        start = keras.Input((side,))
        # This standard deviation preserves the scale of the values, which avoids denormal numbers.
        kernel = keras.initializers.RandomNormal(0.0, side**-0.5, seed=0)
        product = layers.Dense(side, use_bias=False, kernel_initializer=kernel)
        value = start
        with current_backend().building_context():
            for _ in range(products):
                value = product(value)
        # Return one number per row: the time must not include copying the product.
        self._forward = current_backend().forward(keras.Model(start, ops.mean(value, axis=1)))
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


def best_matrix_rate() -> float:
    """Return the best speed of a few repeats, in floating-point operations per second."""
    chain = MatrixChain(*PEAK[current_backend().device().kind])
    return chain.operations / min(chain.seconds())


class Calibration:
    """A fixed computation, timed before, between and after the rounds; `samples` are seconds."""

    def __init__(self) -> None:
        self._chain = MatrixChain(*CALIBRATION[current_backend().device().kind])
        self.samples: list[float] = []

    def sample(self) -> None:
        """Append the median time of a few repeats, which a single interruption does not change."""
        self.samples.append(float(np.median(self._chain.seconds())))
