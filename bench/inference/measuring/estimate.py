"""How long measuring is expected to take: for the plan, and for the share of it that is done."""

from __future__ import annotations

from bench.analysis.statistics import SAMPLES_FOR_PERCENTILE
from bench.inference.measuring.rounds import OVERTIME, SWEEP, SWEEP_SHARE, WARMUP_SHARE

REBUILD_SECONDS = 4.0  # a trained model, with its memory looked at
PREPARE_SECONDS = 4.0  # converting, compiling


def measuring_seconds(
    image: float, test_images: int, latency_seconds: float, runtimes: int
) -> float:
    """Return the seconds to measure one backbone: to make it again, and in each runtime to prepare
    it, answer the test images and be timed."""
    each = PREPARE_SECONDS + image * test_images + timing_seconds(latency_seconds, image)
    return REBUILD_SECONDS + runtimes * each


def timing_seconds(latency_seconds: float, image: float = 0.0) -> float:
    """Return the seconds to time one model: single images, for longer where that brings enough
    queries, and larger batches."""
    enough = min(SAMPLES_FOR_PERCENTILE[90] * image, OVERTIME * latency_seconds)
    larger = (len(SWEEP["cpu"]) - 1) * SWEEP_SHARE * latency_seconds
    warming = WARMUP_SHARE * (latency_seconds + larger)
    return warming + max(latency_seconds, enough) + larger
