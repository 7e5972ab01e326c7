"""Track one training through a phase: its epochs, the best one, early stopping, and the results.

Nothing here trains: it only compares losses and accuracies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.errors import DivergedError
from bench.models.backends.base import Array
from bench.protocol import Phase
from bench.training.losses import cross_entropy
from bench.types import Epoch, PhaseResult, Validation


@dataclass(frozen=True)
class TrainingResult:
    """The result of training all phases; the weights are in the network and the head."""

    phases: tuple[PhaseResult, ...]
    test: Array  # probabilities after each phase: phases x images x classes
    validation: Array  # probabilities after the last phase
    train_images: int
    predict_seconds: float


@dataclass(frozen=True)
class FirstPhase:
    """The state after the first phase at one learning rate; the other phases continue from it."""

    result: PhaseResult
    validation: Array  # probabilities
    test: Array  # probabilities
    head: Sequence[Array]  # weights
    dropout: Sequence[Array]  # random states
    predict_seconds: float  # this rate's share of the time for all rates
    seconds: float  # this rate's share, including `predict_seconds`


class PhaseTracker:
    """The epochs of one copy in a phase: which one is the best, and when training ends.

    The best epoch is the one with the best monitored value, or the last one without early stopping.
    With early stopping the weights before the phase are a candidate too (epoch 0), so a phase that
    only makes the network worse changes nothing.
    """

    def __init__(self, phase: Phase, rate: float) -> None:
        self._phase, self._early_stopping, self._rate = phase, phase.early_stopping, rate
        self._score = -np.inf
        self.epochs: list[Epoch] = []
        self.start: Validation | None = None  # before the first epoch
        self.best_epoch = 0  # counted from 1; its weights are kept
        self.validation: Array = np.empty(0)  # probabilities after the best epoch
        self.improved = False  # the last epoch is the best so far
        self.weights: list[Array] = []  # of the best epoch; empty without early stopping
        self.dropout: list[Array] = []  # random states at the end, if there are several copies
        self.stopped_early = False
        self.error: DivergedError | None = None
        self.train_seconds = 0.0

    @property
    def has_ended(self) -> bool:
        is_last = len(self.epochs) == self._phase.epochs
        return self.stopped_early or is_last or self.error is not None

    @property
    def at_limit(self) -> bool:
        """Return whether the best epoch is the last one allowed: a later one might be better."""
        return self._early_stopping is not None and self.best_epoch == self._phase.epochs

    def set_start(self, result: Validation, validation: Array, weights: list[Array]) -> None:
        """Make the weights before the first epoch the first candidate."""
        self.start = result
        self._update_best(result, validation)
        self.weights = weights if self.improved else []

    def add_epoch(self, epoch: Epoch, validation: Array) -> None:
        """Add the next epoch with its validation probabilities; set `error` if a loss is NaN."""
        self.improved = False
        for loss in (epoch.val_loss, epoch.loss):
            if not np.isfinite(loss):
                self.error = DivergedError(
                    f"the loss of phase {self._phase.name!r} became {loss}: the learning rate "
                    f"{self._rate:g} is too high for this backbone."
                )
        if self.error is not None:
            return
        self.epochs.append(epoch)
        number = len(self.epochs)
        if self._early_stopping is None:
            self.best_epoch, self.validation = number, validation
            return
        self._update_best(Validation(epoch.val_loss, epoch.val_accuracy), validation)
        waited = number - self.best_epoch
        patience = self._early_stopping.patience
        self.stopped_early = number < self._phase.epochs and waited >= patience

    def _update_best(self, result: Validation, validation: Array) -> None:
        by_loss = self._early_stopping is not None and self._early_stopping.monitor == "val_loss"
        score = -result.loss if by_loss else result.accuracy
        self.improved = score > self._score
        if self.improved:
            self._score, self.best_epoch, self.validation = score, len(self.epochs), validation


def single_tracker(trackers: Sequence[PhaseTracker]) -> PhaseTracker:
    """Return the only tracker; raise its error if training diverged."""
    (tracker,) = trackers
    if tracker.error is not None:
        raise tracker.error
    return tracker


def evaluate(probabilities: Array, labels: Array) -> Validation:
    """Return the loss and accuracy of class probabilities (images x classes)."""
    is_correct = probabilities.argmax(axis=1) == labels
    return Validation(cross_entropy(labels, probabilities), float(is_correct.mean()))
