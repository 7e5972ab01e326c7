"""Measure one backbone with `run_bench.py` on the current Keras backend."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from budget import run
from outcome import Outcome, Status, last_line

from bench.analysis.metrics.base import METRICS
from bench.analysis.metrics.latency import throughput_by_batch
from bench.errors import BenchError
from bench.storage.records import Evidence, read_run
from bench.types import Backbone

ROOT = Path(__file__).resolve().parent.parent.parent
PROTOCOL = Path(__file__).with_name("fine_tune_all.toml")
WANTED = (
    *("latency_p50_ms", "latency_p90_ms", "latency_p95_ms", "latency_p99_ms", "latency_queries"),
    *("throughput_images_per_second", "throughput_batch", "utilisation", "gflops", "params"),
    *("training_memory_mb", "training_gpu_memory_mb", "inference_memory_mb", "energy_j_per_1000"),
    *("accuracy", "train_seconds", "total_seconds"),
)


def measure(
    arguments: argparse.Namespace, data: Path, work: Path, backbone: Backbone, seconds: float
) -> Outcome:
    """Train and time the backbone in processes of its own, for at most the given seconds."""
    name = backbone.name
    size = ["--input-size", str(arguments.input_size)] if arguments.input_size else []
    command = [
        *(sys.executable, str(ROOT / "run_bench.py"), "--backbones", name, "--run", name),
        *("--dataset", str(data), "--protocol", str(PROTOCOL), "--weights", arguments.weights),
        *("--batch-size", str(arguments.batch_size), "--precision", arguments.precision),
        *("--latency-seconds", str(arguments.latency_seconds), "--keep-models", "none"),
        *("--results", str(work / "results"), "--cache", str(work / "cache"), *size),
    ]
    ran = run(command, seconds, os.environ, work)
    try:
        (evidence,) = read_run(work / "results" / name).evidence
    except (BenchError, ValueError):
        if ran.code is None:
            reason = f"{seconds:.0f} s were not enough; last seen: {last_line(ran.output)}"
            return Outcome("timed out", reason, ran.seconds)
        return Outcome("failed", last_line(ran.output), ran.seconds)
    record = evidence.record
    status: Status = "ok"
    reason = ""
    if record.status == "failed":
        status, reason = "failed", record.reason
    elif ran.code is None:
        status, reason = "timed out", f"{seconds:.0f} s were not enough for the timing as well"
    elif ran.code != 0:
        status = "failed"
        reason = next((r.reason for r in record.runtimes if r.reason), last_line(ran.output))
    return Outcome(status, reason, ran.seconds, _figures(evidence), _facts(evidence))


def _figures(evidence: Evidence) -> dict[str, float]:
    record = evidence.record
    found = {name: METRICS[name].compute(evidence) for name in WANTED}
    figures = {name: float(value) for name, value in found.items() if value is not None}
    figures |= {f"forward_b{batch}": rate for batch, rate in throughput_by_batch(evidence).items()}
    for phase in record.phases:
        name = phase.name.replace("-", "_")
        figures[f"{name}_compile_seconds"] = phase.compile_seconds
        figures[f"{name}_train_seconds"] = phase.train_seconds
        if len(phase.epochs) > 1:
            epoch = float(np.median([epoch.seconds for epoch in phase.epochs[1:]]))
            figures[f"{name}_images_per_second"] = record.train_images / epoch
    figures |= {f"seconds_{part}": value for part, value in record.seconds.items()}
    if record.session is not None:
        figures["matrix_product_flops"] = record.session.matrix_rate
    return figures


def _facts(evidence: Evidence) -> dict[str, str]:
    record = evidence.record
    facts = {"weights": record.weights.source if record.weights else "unknown"}
    device = record.environment.get("device", {})
    facts |= {key: str(device[key]) for key in ("kind", "name", "framework") if key in device}
    return facts
