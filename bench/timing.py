"""The latency and throughput of one whole model, pixels to probabilities, through a runtime."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.backends.base import Array
from bench.runtimes.base import QUERIES_FOR_P90, RUNTIMES, time_queries
from bench.types import RuntimeResult

THROUGHPUT_BATCH = {"cpu": 8, "gpu": 64}
THROUGHPUT_QUERIES = 3


@dataclass(frozen=True)
class Timings:
    """What was timed, and how long it took to time it."""

    results: tuple[RuntimeResult, ...]
    arrays: Mapping[str, Array]
    seconds: float


def time_model(model: Any, images: Array, device: str, seconds: float) -> Timings:
    """Time `model` through the reference runtime, each batch size for `seconds`."""
    begun = time.perf_counter()
    runtime = RUNTIMES["keras"]
    arrays: dict[str, Array] = {}
    large = THROUGHPUT_BATCH[device]
    call = runtime.prepare(model, 1)
    start = time.perf_counter()
    call(np.asarray(images[:1]))
    compile_seconds = time.perf_counter() - start
    for batch, least in ((1, QUERIES_FOR_P90), (large, THROUGHPUT_QUERIES)):
        sample = np.resize(images[:batch], (batch, *images.shape[1:]))
        timing = time_queries(call, sample, seconds, least)
        arrays[f"latency_{runtime.name}_b{batch}"] = timing.timed
        arrays[f"warmup_{runtime.name}_b{batch}"] = timing.warmup
    result = RuntimeResult(runtime.name, (1, large), compile_seconds)
    return Timings((result,), arrays, time.perf_counter() - begun)
