"""How long a trial will take, estimated from declared arithmetic and this machine's speed.

An order of magnitude for the plan, never a result: times that are measured replace it as soon as
trials end.
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
from bench.training.probes import operations as probe_operations
from bench.training.robustness import passes as robustness_passes
from bench.types import Backbone, Dataset, Measuring

STARTUP_SECONDS = 12.0  # imports, building, tracing
EFFICIENCY = 0.45  # a convolutional network's share of the speed of matrix products
TAIL_SHARE = 0.2  # of a forward pass that the last stage takes, in the networks here
SIDE = 64  # of the matrices whose product shows the machine's speed: too small for several threads
STACK = 16  # of them that are multiplied at once
TRIES = 64
BEST_EPOCH = 3  # after which early stopping waits for its patience: the median of fine-tuning
BACKWARD = 3.0  # a training step costs about three forward passes of what it trains


@dataclass(frozen=True)
class Cost:
    """Seconds that the trials of one backbone take, from cold caches."""

    shared: float  # by all of them: starting, building, the frozen part
    each: float  # a trial with all training images
    image: float  # one image through the network
    probes: float = 0.0  # fitting them, once for all trials


UNKNOWN = Cost(shared=STARTUP_SECONDS, each=48.0, image=0.05)  # of a backbone that declares none


def trial_cost(
    backbone: Backbone,
    input_size: int,
    protocol: TrainingProtocol,
    dataset: Dataset,
    rate: float,
    *,
    trainings: int = 1,
    measuring: Measuring | None = None,
) -> Cost | None:
    """Return what the backbone's trials take; `None` where it declares no arithmetic.

    `trainings` is how many learning rates it tries; the frozen part is computed once for all.
    `measuring` is what is asked of pretrained weights; none of random ones.
    """
    if backbone.gmacs is None:
        return None
    forward = 2e9 * backbone.gmacs * (input_size / backbone.input_size) ** 2 / (rate * EFFICIENCY)
    train = len(dataset.splits["train"])
    others = len(dataset.splits["validation"]) + len(dataset.splits["test"])
    frozen = float(others + train * max(len(fixed_views(p.augment)) or 1 for p in protocol.phases))
    passes = 0.0
    for number, phase in enumerate(protocol.phases):
        if phase.augment.continuous and not phase.augment.views:
            # A first phase of the head alone goes through all rates in one pass.
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
        fitting = REBUILD_SECONDS + probe_operations(images, len(dataset.classes)) / rate
    return Cost(STARTUP_SECONDS + forward * frozen, forward * passes, forward, fitting)


def matrix_rate() -> float:
    """Return the float32 operations a second of matrix products on all cores here: the best of many
    short ones on one core, most of which are undisturbed even where other processes work. One on
    all cores waits for its slowest thread, and is ten times slower there or worse."""
    a = np.random.default_rng(0).standard_normal((STACK, SIDE, SIDE), dtype=np.float32)
    best = np.inf
    for _ in range(TRIES):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    # Apple's library computes on a unit that all cores share.
    cores = 1 if sys.platform == "darwin" else available_cores()
    return float(cores * STACK * 2 * SIDE**3 / best)


def _epochs(phase: Phase) -> int:
    """Return how many epochs a phase is expected to take."""
    if phase.early_stopping is None:
        return phase.epochs
    return min(phase.epochs, BEST_EPOCH + phase.early_stopping.patience)
