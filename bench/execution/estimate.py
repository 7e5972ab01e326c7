"""Estimate how long a trial takes, from declared multiply-accumulates and this machine's speed.

The estimate is an order of magnitude for the plan and never a result: measured times replace it as
soon as trials end.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

from bench.inference.measuring.pending import REBUILD_SECONDS
from bench.protocol import Phase, TrainingProtocol
from bench.system.environment import available_cores
from bench.training.augment import fixed_views
from bench.training.probes import estimate_operations as probe_operations
from bench.training.robustness import count_passes as robustness_passes
from bench.types import Backbone, Dataset, Measuring

STARTUP_SECONDS = 12.0  # imports, building, tracing
EFFICIENCY = 0.45  # speed of a convolutional network relative to a matrix product
TAIL_SHARE = 0.2  # fraction of a forward pass spent in the last stage, in typical networks
SIDE = 64  # of the matrices multiplied to measure speed: too small for several threads
STACK = 16  # matrices multiplied at once
TRIES = 64
BEST_EPOCH = 3  # expected best epoch under early stopping: the median of fine-tuning runs
BACKWARD = 3.0  # cost of a training step, in forward passes of the trained part


@dataclass(frozen=True)
class Cost:
    """Estimated seconds of one backbone's trials, from cold caches."""

    shared: float  # once for all trials: starting, building, the frozen part
    per_trial: float  # training on all training images
    per_image: float  # forward pass of one image
    probes: float = 0.0  # fitting the probes, once for all trials


# Without declared arithmetic.
UNKNOWN_COST = Cost(shared=STARTUP_SECONDS, per_trial=48.0, per_image=0.05)


def estimate_trial_cost(
    backbone: Backbone,
    input_size: int,
    protocol: TrainingProtocol,
    dataset: Dataset,
    matrix_rate: float,
    *,
    trainings: int = 1,
    measuring: Measuring | None = None,
) -> Cost | None:
    """Return the cost of a backbone's trials; None if it declares no `gmacs`.

    `matrix_rate` is this machine's speed in operations per second. `trainings` is the number of
    learning rates tried; the frozen part is computed once for all. `measuring` has the robustness
    and probes requested for pretrained weights; None for random weights.
    """
    if backbone.gmacs is None:
        return None
    scale = (input_size / backbone.input_size) ** 2
    forward = 2e9 * backbone.gmacs * scale / (matrix_rate * EFFICIENCY)
    train = len(dataset.splits["train"])
    others = len(dataset.splits["validation"]) + len(dataset.splits["test"])
    frozen = float(others + train * max(len(fixed_views(p.augment)) or 1 for p in protocol.phases))
    passes = 0.0
    for number, phase in enumerate(protocol.phases):
        if phase.augment.continuous and not phase.augment.views:
            # A first phase of the head alone trains all learning rates in one pass over the images.
            together = number == 0 and phase.unfreeze.kind == "none"
            passes += (1 if together else trainings) * train * _epochs(phase)
        share = {"none": 0.0, "stages": TAIL_SHARE * phase.unfreeze.count, "all": 1.0}
        tail = min(1.0, share.get(phase.unfreeze.kind, 0.5))
        each = BACKWARD * train + len(dataset.splits["validation"])
        passes += trainings * _epochs(phase) * tail * each
    measuring = measuring or Measuring()
    if measuring.robustness:
        passes += robustness_passes(len(dataset.splits["test"]))
    fitting = 0.0
    if measuring.probes:
        images = {split: len(found) for split, found in dataset.splits.items()}
        fitting = REBUILD_SECONDS + probe_operations(images, len(dataset.classes)) / matrix_rate
    return Cost(STARTUP_SECONDS + forward * frozen, forward * passes, forward, fitting)


def measure_matrix_rate() -> float:
    """Measure the speed of float32 matrix products on all cores, in operations per second.

    It is the best of many short products on one core, times the number of cores: on a busy machine,
    most of these run undisturbed, while a product on all cores waits for its slowest thread and can
    take ten times as long.
    """
    a = np.random.default_rng(0).standard_normal((STACK, SIDE, SIDE), dtype=np.float32)
    best = np.inf
    for _ in range(TRIES):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    # Apple's library computes on a unit shared by all cores.
    cores = 1 if sys.platform == "darwin" else available_cores()
    return float(cores * STACK * 2 * SIDE**3 / best)


def _epochs(phase: Phase) -> int:
    """Return the expected number of epochs of a phase."""
    if phase.early_stopping is None:
        return phase.epochs
    return min(phase.epochs, BEST_EPOCH + phase.early_stopping.patience)
