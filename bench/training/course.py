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
    """How one copy goes through a phase: its epochs, which of them is kept, and when it ends.

    Kept is the best by the monitored figure, or the last without early stopping. With early
    stopping the weights at the start of the phase are a candidate, too (epoch 0), so that a phase
    that only makes the network worse changes nothing.
    """

    def __init__(self, phase: Phase, rate: float) -> None:
        self._phase, self._rule, self._rate = phase, phase.early_stopping, rate
        self._score = -np.inf
        self.epochs: list[Epoch] = []
        self.start: Validation | None = None  # before the first epoch
        self.best_epoch = 0  # the one that is kept
        self.validation: Array = np.empty(0)  # probabilities after it
        self.improved = False  # by the last epoch
        self.weights: list[Array] = []  # of the best epoch; none without early stopping
        self.dropout: list[Array] = []  # what it draws from next, where there are several copies
        self.stopped_early = False
        self.error: DivergedError | None = None
        self.train_seconds = 0.0

    @property
    def ended(self) -> bool:
        every = len(self.epochs) == self._phase.epochs
        return self.stopped_early or every or self.error is not None

    @property
    def at_limit(self) -> bool:
        """Return whether the best epoch is the last allowed: a later one might be better."""
        return self._rule is not None and self.best_epoch == self._phase.epochs

    def begin(self, judged: Validation, validation: Array, weights: list[Array]) -> None:
        """Take the weights before the first epoch as the first candidate."""
        self.start = judged
        self._offer(judged, validation)
        self.weights = weights if self.improved else []

    def take(self, epoch: Epoch, validation: Array) -> None:
        """Take the next epoch and its validation probabilities."""
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
        if self._rule is None:
            self.best_epoch, self.validation = number, validation
            return
        self._offer(Validation(epoch.val_loss, epoch.val_accuracy), validation)
        waited = number - self.best_epoch
        self.stopped_early = number < self._phase.epochs and waited >= self._rule.patience

    def _offer(self, judged: Validation, validation: Array) -> None:
        by_loss = self._rule is not None and self._rule.monitor == "val_loss"
        score = -judged.loss if by_loss else judged.accuracy
        self.improved = score > self._score
        if self.improved:
            self._score, self.best_epoch, self.validation = score, len(self.epochs), validation


def only(courses: Sequence[Course]) -> Course:
    """Return the course where one training was run; raise its error where it diverged."""
    (found,) = courses
    if found.error is not None:
        raise found.error
    return found


def evaluate(guessed: Array, labels: Array) -> Validation:
    """Return loss and accuracy of class probabilities."""
    right = guessed.argmax(axis=1) == labels
    return Validation(cross_entropy(labels, guessed), float(right.mean()))
