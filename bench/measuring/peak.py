"""What the hardware does in the best case: the speed of matrix products through the backend.

Measured in the same process as the models, with the same threads and precision, so that a model's
share of it says how well the hardware is used and not how two libraries compare.
"""

from __future__ import annotations

import time

import keras
import numpy as np
from keras import layers, ops

from bench.backends.base import Array, Backend, Forward

SIDE = {"cpu": 1024, "gpu": 8192}
PRODUCTS = {"cpu": 8, "gpu": 32}
REPEATS = 5


def matrix_peak(backend: Backend, device: str) -> float:
    """Floating-point operations a second of a chain of products, the best of a few."""
    side, products = SIDE[device], PRODUCTS[device]
    start = keras.Input((side,))
    # Keeps the size of what passes through, so that no product meets numbers that are slow.
    kernel = keras.initializers.RandomNormal(0.0, side**-0.5, seed=0)
    product = layers.Dense(side, use_bias=False, kernel_initializer=kernel)
    value = start
    for _ in range(products):
        value = product(value)
    # One number a row: fetching the product would be timed too.
    call = backend.forward(keras.Model(start, ops.mean(value, axis=1)))
    rows = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    call(rows)
    best = min(_seconds(call, rows) for _ in range(REPEATS))
    return 2.0 * side**3 * products / best


def _seconds(call: Forward, rows: Array) -> float:
    begun = time.perf_counter()
    call(rows)
    return time.perf_counter() - begun
