"""Whether the machine kept its speed: a fixed piece of work, timed before, between and after.

It knows nothing of any model: where it takes longer, something else was running, or the processor
slowed down, and the figures taken meanwhile are not those of a quiet machine.
"""

from __future__ import annotations

import time

import numpy as np

from bench.environment import available_cores

SIDE = 384
PRODUCTS = 6
REPEATS = 5


class Calibration:
    """Products of small matrices on every core; `samples` are seconds, one a sampling."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._a = rng.standard_normal((available_cores() * SIDE, SIDE), dtype=np.float32)
        self._b = rng.standard_normal((SIDE, SIDE), dtype=np.float32)
        self._out = np.empty_like(self._a)
        self.samples: list[float] = []
        self._work()  # the first one starts the threads

    def sample(self) -> None:
        """The median of a few repeats, so that one interruption is not taken for a drift."""
        self.samples.append(float(np.median([self._work() for _ in range(REPEATS)])))

    def _work(self) -> float:
        start = time.perf_counter()
        for _ in range(PRODUCTS):
            np.matmul(self._a, self._b, out=self._out)
        return time.perf_counter() - start
