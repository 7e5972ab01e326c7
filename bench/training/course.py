"""How one training goes through a phase: its epochs, the one that is kept, when it ends, and what
comes of it.

Arithmetic on figures that others compute: nothing here trains.
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
class Outcome:
    """The result of one phase for one seed."""

    epochs: tuple[Epoch, ...]
    best_epoch: int
    stopped_early: bool
    start: Validation | None
    at_limit: bool
    train_seconds: float
    batch_losses: tuple[float, ...]
    validation: Array  # probabilities after the kept epoch
    dropout: tuple[Array, ...] = ()  # what it draws from next, where there are several copies


@dataclass(frozen=True)
class TrainingResult:
    """The result of one training; its weights are in the network and the head."""

    phases: tuple[PhaseResult, ...]
    test: Array  # probabilities after each phase: phases x images x classes
    validation: Array  # probabilities after the last
    train_images: int
    predict_seconds: float


@dataclass(frozen=True)
class FirstPhase:
    """The first phase at one learning rate, from which the other phases go on."""

    result: PhaseResult
    validation: Array  # probabilities
    test: Array
    head: Sequence[Array]  # its weights
    dropout: Sequence[Array]  # what it draws from next
    predict_seconds: float  # its share of what all rates took together; so is the next
    seconds: float


class Course:
    """How the training of one copy goes: its epochs, which to keep, and when it ends.

    Kept is the best by the monitored figure, or the last without early stopping. With early
    stopping the weights at the start of the phase are a candidate, too (epoch 0), so that a phase
    that only makes the network worse changes nothing.
    """

    def __init__(self, phase: Phase, rate: float) -> None:
        self._phase, self._rule, self._rate = phase, phase.early_stopping, rate
        self._score = -np.inf
        self._losses: list[float] = []  # of the batches
        self._start: Validation | None = None
        self._validation: Array = np.empty(0)  # probabilities after the epoch to keep
        self.epochs: list[Epoch] = []
        self.best = 0  # the epoch to keep
        self.improved = False  # by the last epoch
        self.weights: list[Array] = []  # of the best epoch; none without early stopping
        self.dropout: list[Array] = []
        self.stopped = False
        self.error: DivergedError | None = None

    @property
    def ended(self) -> bool:
        every = len(self.epochs) == self._phase.epochs
        return self.stopped or every or self.error is not None

    def begin(self, judged: Validation, validation: Array, weights: list[Array]) -> None:
        """Take the weights before the first epoch as the first candidate."""
        self._start = judged
        self._offer(judged, validation)
        self.weights = weights if self.improved else []

    def take(self, epoch: Epoch, validation: Array, losses: Array) -> None:
        """Take the next epoch, its validation probabilities and the losses of its batches."""
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
        self._losses += losses.tolist()
        if self._rule is None:
            self.best, self._validation = len(self.epochs), validation
            return
        self._offer(Validation(epoch.val_loss, epoch.val_accuracy), validation)
        number = len(self.epochs)
        self.stopped = number < self._phase.epochs and number - self.best >= self._rule.patience

    def outcome(self, seconds: float) -> Outcome:
        """Return the result, to which `seconds` belong besides those of its epochs."""
        return Outcome(
            epochs=tuple(self.epochs),
            best_epoch=self.best,
            stopped_early=self.stopped,
            start=self._start,
            at_limit=self._rule is not None and self.best == self._phase.epochs,
            train_seconds=seconds + sum(epoch.seconds for epoch in self.epochs),
            batch_losses=tuple(self._losses),
            validation=self._validation,
            dropout=tuple(self.dropout),
        )

    def _offer(self, judged: Validation, validation: Array) -> None:
        by_loss = self._rule is not None and self._rule.monitor == "val_loss"
        score = -judged.loss if by_loss else judged.accuracy
        self.improved = score > self._score
        if self.improved:
            self._score, self.best, self._validation = score, len(self.epochs), validation


def only(outcomes: Sequence[Outcome | DivergedError]) -> Outcome:
    """Return the result where one training was run; raise its error where it diverged."""
    (found,) = outcomes
    if isinstance(found, DivergedError):
        raise found
    return found


def evaluate(guessed: Array, labels: Array) -> Validation:
    """Return loss and accuracy of class probabilities."""
    right = guessed.argmax(axis=1) == labels
    return Validation(cross_entropy(labels, guessed), float(right.mean()))
