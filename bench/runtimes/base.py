"""What a runtime is: a way of running a trained model, and the timing that all of them share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bench.backends.base import Array
from bench.registry import Registry
from bench.statistics import SAMPLES_FOR_PERCENTILE

WARMUP_QUERIES = 3
WARMUP_SECONDS = 0.5
QUERIES_FOR_P90 = SAMPLES_FOR_PERCENTILE[90]
MOST_QUERIES = 2000
OVERTIME = 4  # how many times its seconds a slow model may take to reach QUERIES_FOR_P90

Call = Callable[[Array], Array]
"""uint8 images in, class probabilities on the host out."""


class Runtime(Protocol):
    """Turns a trained model into a callable for one batch size."""

    @property
    def name(self) -> str: ...

    def prepare(self, model: Any, batch: int) -> Call:
        """Convert and compile; the first call may still be slow."""


RUNTIMES: Registry[Runtime] = Registry("runtime")


@dataclass(frozen=True)
class Timing:
    """Durations of single queries, the warm-up apart."""

    warmup: Array
    timed: Array


def time_queries(call: Call, images: Array, seconds: float, least: int) -> Timing:
    """Time `call` on `images`, one query after another, each fetched to the host.

    Lasts `seconds`, and on until `least` queries where that takes at most `OVERTIME` times as long.
    """
    warmup = _queries(call, images, WARMUP_SECONDS, WARMUP_QUERIES, MOST_QUERIES)
    return Timing(warmup, _queries(call, images, seconds, least, MOST_QUERIES))


def _queries(call: Call, images: Array, seconds: float, least: int, most: int) -> Array:
    durations: list[float] = []
    begun = time.perf_counter()
    while len(durations) < most:
        start = time.perf_counter()
        call(images)
        end = time.perf_counter()
        durations.append(end - start)
        spent = end - begun
        if spent >= seconds and (len(durations) >= least or spent >= OVERTIME * seconds):
            break
    return np.asarray(durations)
