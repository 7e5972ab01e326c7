"""How long a trial will take, estimated from declared arithmetic and this machine's speed.

An order of magnitude for the plan, never a result: times that are measured replace it as soon as
trials end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from bench.inference.measuring.pending import REBUILD_SECONDS
from bench.protocol import Augment, Phase, TrainingProtocol
from bench.training.probes import operations as probe_operations
from bench.training.robustness import passes as robustness_passes
from bench.types import Backbone, Dataset, Measuring

STARTUP_SECONDS = 12.0  # imports, building, tracing
EFFICIENCY = 0.6  # a convolutional network's share of a matrix product's speed
TAIL_SHARE = 0.2  # of a forward pass that the last stage takes, in the networks here
SIDE = 512  # of the matrices whose product shows the machine's speed
TRIES = 32
PATIENCE_SECONDS = 0.3
BEST_EPOCH = 3  # after which early stopping waits for its patience: the median of fine-tuning
BACKWARD = 3.0  # a training step costs about three forward passes of what it trains


@dataclass(frozen=True)
class Cost:
    """Seconds that the trials of one backbone take, from cold caches."""

    shared: float  # by all of them: starting, building, the frozen part
    each: float  # a trial with all training images
    image: float  # one image through the network
    probes: float = 0.0  # fitting them, once for all trials


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
    frozen = float(others + train * max(_views(p.augment) for p in protocol.phases))
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
    """Return the float32 operations a second of a matrix product here: the best of many short
    ones, some of which are undisturbed even while another process works."""
    a = np.random.default_rng(0).standard_normal((SIDE, SIDE), dtype=np.float32)
    best = np.inf
    begun = time.perf_counter()
    for _ in range(TRIES):
        start = time.perf_counter()
        a @ a
        now = time.perf_counter()
        best = min(best, now - start)
        if now - begun > PATIENCE_SECONDS:
            break
    return float(2 * SIDE**3 / best)


def _epochs(phase: Phase) -> int:
    """Return how many epochs a phase is expected to take."""
    if phase.early_stopping is None:
        return phase.epochs
    return min(phase.epochs, BEST_EPOCH + phase.early_stopping.patience)


def _views(augment: Augment) -> int:
    return augment.views or (2 if augment.flip and not augment.continuous else 1)
