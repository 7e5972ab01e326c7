"""What a trained model costs: its size, and the time it took to train."""

from __future__ import annotations

from collections.abc import Callable

from bench.metrics.base import METRICS, Metric
from bench.records import Evidence

# What must happen before there is a trained model, each as from cold caches. Measuring it is not
# part of that.
TRAINING_PARTS = ("data", "build", "features", "compile", "tuning", "train")


def train_seconds(evidence: Evidence) -> float | None:
    """From images on disk to a trained model, as if nothing had been cached."""
    seconds = evidence.record.seconds
    if "train" not in seconds:
        return None
    return sum(seconds.get(part, 0.0) for part in TRAINING_PARTS)


def _seconds(part: str) -> Callable[[Evidence], float | None]:
    return lambda evidence: evidence.record.seconds.get(part)


def _params(evidence: Evidence) -> float | None:
    return evidence.record.parameters or None


def _size_mb(evidence: Evidence) -> float | None:
    return evidence.record.size_bytes / 1e6 if evidence.record.size_bytes else None


def _epochs(evidence: Evidence) -> float | None:
    return sum(len(phase.epochs) for phase in evidence.record.phases) or None


for _metric in (
    Metric("train_seconds", "training time from cold", "s", "lower", train_seconds),
    Metric("total_seconds", "whole trial from cold", "s", "lower", _seconds("total")),
    Metric("cache_seconds_reused", "of it, found in a cache", "s", "neither", _seconds("reused")),
    Metric("epochs", "epochs trained", "epochs", "neither", _epochs),
    Metric("params", "parameters", "parameters", "lower", _params),
    Metric("size_mb", "size of the weights", "MB", "lower", _size_mb),
):
    METRICS.add(_metric)
