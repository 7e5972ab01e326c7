"""What a trained model costs: size, arithmetic, memory, energy, and the time it took to train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bench.analysis import format as fmt
from bench.analysis.metrics.base import METRICS, Metric, MetricColumn, compute_from
from bench.analysis.metrics.latency import best_batch, durations, throughput, timed_runtime
from bench.storage.records import Evidence

# The steps to a trained model, each from cold caches. Measuring the model is not one of them.
TRAINING_PARTS = ("data", "build", "features", "compile", "tuning", "train")


def train_seconds(evidence: Evidence) -> float | None:
    """Return the seconds from images on disk to a trained model, as if nothing was cached."""
    seconds = evidence.record.seconds
    if "train" not in seconds:
        return None
    return sum(seconds.get(part, 0.0) for part in TRAINING_PARTS)


def _seconds(part: str) -> Callable[[Evidence], float | None]:
    return lambda evidence: evidence.record.seconds.get(part)


def _megabytes(nbytes: Callable[[Evidence], float | None]) -> Callable[[Evidence], float | None]:
    return compute_from(nbytes, lambda found: found / 1e6)


def _epochs(evidence: Evidence) -> float | None:
    return sum(len(phase.epochs) for phase in evidence.record.phases) or None


def _utilisation(evidence: Evidence) -> float | None:
    """Return FLOP/s at the best batch size, as a fraction of those of a matrix product."""
    session, images = evidence.record.session, throughput(evidence)
    if session is None or images is None or not evidence.record.flops:
        return None
    return evidence.record.flops * images / session.matrix_rate


def _energy(evidence: Evidence) -> float | None:
    """Return the joules for 1,000 images at the best batch size."""
    result, batch = timed_runtime(evidence), best_batch(evidence)
    if result is None or batch is None or str(batch) not in result.joules:
        return None
    taken = durations(evidence, batch)
    return None if taken is None else 1000 * result.joules[str(batch)] / (batch * len(taken))


_gflops = compute_from(lambda evidence: evidence.record.flops or None, lambda found: found / 1e9)
_size = _megabytes(lambda evidence: evidence.record.size_bytes or None)
_training_memory = _megabytes(lambda evidence: evidence.record.memory_bytes or None)
_device_memory = _megabytes(lambda evidence: evidence.record.device_memory_bytes)
_inference_memory = _megabytes(compute_from(timed_runtime, lambda result: result.memory_bytes))
_inference_device = _megabytes(
    compute_from(timed_runtime, lambda result: result.device_memory_bytes)
)
_network = partial(Metric, kind="size")
_training = partial(Metric, kind="training")
_inference = partial(Metric, kind="inference")
_COLUMNS = {
    "train_seconds": MetricColumn("Training", fmt.duration, 80),
    "params": MetricColumn("Params", fmt.count, 60),
    "size_mb": MetricColumn("Size", fmt.megabytes, 10),
}
for _metric in (
    _training("train_seconds", "training time from cold", "s", "lower", train_seconds),
    _training("total_seconds", "whole trial from cold", "s", "lower", _seconds("total")),
    _training("cache_seconds_reused", "time saved by caches", "s", "neither", _seconds("reused")),
    _training("epochs", "epochs trained", "epochs", "neither", _epochs),
    _network("params", "parameters", "parameters", "lower", lambda e: e.record.parameters or None),
    _network("size_mb", "size of the weights", "MB", "lower", _size),
    _network("gflops", "arithmetic for one image", "GFLOP", "lower", _gflops),
    _inference("utilisation", "fraction of the matrix-product peak", "", "higher", _utilisation),
    _training("training_memory_mb", "peak memory, training", "MB", "lower", _training_memory),
    _training("training_gpu_memory_mb", "peak GPU memory, training", "MB", "lower", _device_memory),
    _inference("inference_memory_mb", "peak memory, inference", "MB", "lower", _inference_memory),
    _inference(
        "inference_gpu_memory_mb", "peak GPU memory, inference", "MB", "lower", _inference_device
    ),
    _inference("energy_j_per_1000", "energy for 1,000 images", "J", "lower", _energy),
):
    METRICS.add(replace(_metric, column=_COLUMNS.get(_metric.name)))
