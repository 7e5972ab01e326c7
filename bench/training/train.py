"""Train one phase: the tail of the network on rows that the frozen part has computed.

The loop is the usual one: shuffle, step, evaluate on validation, keep the best. It is fast because
rows come from `features.py`, the backend compiles the step once, the next batch is gathered while
this one trains, and nothing waits for the device inside an epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bench.errors import DivergedError
from bench.models.backends.base import Array, Backend, Forward, TrainStep
from bench.models.network import Tail, probabilities, restore, snapshot, weighted_loss
from bench.protocol import Phase
from bench.system.parallel import prefetch_map
from bench.training.features import Rows, full_batch, predict
from bench.types import Epoch, Validation

AHEAD = 2  # batches in progress: one trains, one is gathered and sent
OnBatch = Callable[[int, int], None]
OnEpoch = Callable[[int, Epoch], None]
ViewsOf = Callable[[int], Sequence[Rows]]
"""Epoch number -> the views to draw from in that epoch."""


class PhaseTrainer:
    """One phase of one network, compiled once and run for every seed."""

    def __init__(self, phase: Phase, index: int, tail: Tail, backend: Backend) -> None:
        self.phase, self.index, self.tail = phase, index, tail
        self.optimizer = _optimizer(phase)
        self.step: TrainStep = backend.train_step(tail, self.optimizer, weighted_loss)
        self.evaluate: Forward = backend.forward(tail)
        self._fresh = snapshot(self.optimizer.variables)
        self._compiled = False

    @property
    def trainable_parameters(self) -> int:
        return sum(int(np.prod(v.shape)) for v in self.tail.trainable_variables)

    def compile(self, rows: Rows, batch_size: int) -> float:
        """Compile step and evaluation for this batch shape; returns the seconds it took."""
        if self._compiled:
            return 0.0
        start = time.perf_counter()
        some = np.arange(min(len(rows), batch_size))
        self.step.compile(*_batch(some, [rows], None, np.zeros(len(rows)), batch_size))
        self.evaluate.compile(full_batch(rows.take(np.arange(1))))
        self._compiled = True
        return time.perf_counter() - start

    def run(
        self,
        views_of: ViewsOf,
        labels: Array,
        validation: Rows,
        validation_labels: Array,
        *,
        begin: Array | None = None,
        seed: int,
        batch_size: int,
        learning_rate: float,
        on_batch: OnBatch,
        on_epoch: OnEpoch,
    ) -> Outcome:
        """Train from the current weights; leave the kept epoch's weights in the model.

        `begin` are the validation probabilities of the current weights, where they are known:
        early stopping keeps these weights if no epoch is better.
        """
        restore(self.optimizer.variables, self._fresh)
        # The rate is a variable: another one needs no compilation.
        self.optimizer.learning_rate = learning_rate
        epochs: list[Epoch] = []
        batch_losses: list[float] = []
        best = _Best(self.phase, self.tail)
        start = time.perf_counter()
        if self.phase.early_stopping is not None:
            begin = self.predict(validation) if begin is None else begin
            best.begin(evaluate(begin, validation_labels), begin)
        for number in range(self.phase.epochs):
            begun = time.perf_counter()
            rng = np.random.default_rng([seed, 1, self.index, number])
            losses, counts, right = self._epoch(views_of(number), labels, rng, batch_size, on_batch)
            batch_losses += losses.tolist()
            loss = self._finite(float((losses * counts).sum() / counts.sum()))
            accuracy = float(right.sum() / counts.sum())
            guessed = self.predict(validation)
            judged = evaluate(guessed, validation_labels)
            self._finite(judged.loss)
            seconds = time.perf_counter() - begun
            epochs.append(Epoch(loss, accuracy, judged.loss, judged.accuracy, seconds))
            on_epoch(number + 1, epochs[-1])
            if best.offer(number + 1, judged, guessed):
                break
        best.restore()
        seconds = time.perf_counter() - start
        return Outcome(
            epochs=tuple(epochs),
            best_epoch=best.epoch,
            stopped_early=best.stopped,
            start=best.start,
            at_limit=best.at_limit,
            train_seconds=seconds,
            batch_losses=tuple(batch_losses),
            validation=best.validation,
        )

    def predict(self, rows: Rows) -> Array:
        """Return class probabilities by the current weights."""
        return probabilities(predict(self.evaluate, rows))

    def _epoch(
        self,
        views: Sequence[Rows],
        labels: Array,
        rng: np.random.Generator,
        batch_size: int,
        on_batch: OnBatch,
    ) -> tuple[Array, Array, Array]:
        """Train one epoch; return each batch's loss, number of images and of correct answers."""
        order = rng.permutation(len(labels))
        chosen = rng.integers(len(views), size=len(labels)) if len(views) > 1 else None
        # BatchNorm in training must not see padding, even of weight zero: its last batch is short,
        # as is every one that needs no compilation of its own.
        full = 0 if self.step.any_size or self.tail.trains_batchnorm else batch_size

        def ready(first: int) -> tuple[Any, int]:
            batch = _batch(order[first : first + batch_size], views, chosen, labels, full)
            return self.step.put(*batch), int(batch[2].sum())

        starts = range(0, len(labels), batch_size)
        results, counts = [], []
        with ThreadPoolExecutor(1, "next batch") as pool:
            for done, (batch, count) in enumerate(prefetch_map(pool, ready, starts, AHEAD), 1):
                results.append(self.step(batch))
                counts.append(count)
                on_batch(done, len(starts))
        values = self.step.fetch(results).astype(np.float64)
        self.step.sync()
        return values[:, 0], np.asarray(counts, np.float64), values[:, 1]

    def _finite(self, loss: float) -> float:
        if np.isfinite(loss):
            return loss
        rate = float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))
        raise DivergedError(
            f"the loss of phase {self.phase.name!r} became {loss}: the learning rate {rate:g} is "
            f"too high for this backbone."
        )


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


class _Best:
    """The epoch to keep: the best by the monitored figure, or the last without early stopping.

    With early stopping the weights at the start of the phase are a candidate, too (epoch 0), so
    that a phase that only makes the network worse changes nothing.
    """

    def __init__(self, phase: Phase, tail: Tail) -> None:
        self._rule, self._epochs, self._tail = phase.early_stopping, phase.epochs, tail
        self._score = -np.inf
        self._weights: list[Array] | None = None
        self._seen = 0
        self.epoch = 0
        self.stopped = False
        self.start: Validation | None = None
        self.validation: Array = np.empty(0)

    def begin(self, judged: Validation, validation: Array) -> None:
        """Take the weights before the first epoch as the first candidate."""
        self.start = judged
        self.offer(0, judged, validation)

    @property
    def at_limit(self) -> bool:
        """Whether the best epoch is the last that the protocol allows."""
        return self._rule is not None and self.epoch == self._epochs

    def offer(self, number: int, judged: Validation, validation: Array) -> bool:
        """Consider a finished epoch; return whether training should stop."""
        self._seen = number
        if self._rule is None:
            self.epoch, self.validation = number, validation
            return False
        score = -judged.loss if self._rule.monitor == "val_loss" else judged.accuracy
        if score > self._score:
            self._score, self.epoch, self.validation = score, number, validation
            self._weights = snapshot(self._variables())
        self.stopped = number < self._epochs and number - self.epoch >= self._rule.patience
        return self.stopped

    def restore(self) -> None:
        if self._weights is not None and self.epoch != self._seen:
            restore(self._variables(), self._weights)

    def _variables(self) -> list[Any]:
        tail = self._tail
        if tail.trains_batchnorm:
            return list(tail.variables)
        return list(tail.trainable_variables)


def evaluate(guessed: Array, labels: Array) -> Validation:
    """Return loss and accuracy of class probabilities."""
    true = guessed[np.arange(len(labels)), labels]
    loss = -np.log(np.clip(true, np.finfo(np.float64).eps, 1)).mean()
    return Validation(float(loss), float((guessed.argmax(axis=1) == labels).mean()))


def _batch(
    indices: Array, views: Sequence[Rows], chosen: Array | None, labels: Array, size: int = 0
) -> tuple[Array, Array, Array]:
    """Return rows, labels and weights; padded to `size` with rows of weight zero."""
    weight = np.ones(len(indices), "float32")
    short = size - len(indices)
    if short > 0:
        indices = np.concatenate([indices, np.resize(indices, short)])
        weight = np.concatenate([weight, np.zeros(short, "float32")])
    return _gather(indices, views, chosen), labels[indices].astype("int32"), weight


def _gather(indices: Array, views: Sequence[Rows], chosen: Array | None) -> Array:
    if chosen is None:
        return views[0].take(indices)
    out: Array | None = None
    for number, rows in enumerate(views):
        mask = chosen[indices] == number
        if mask.any():
            taken = rows.take(indices[mask])
            if out is None:
                out = np.empty((len(indices), *taken.shape[1:]), taken.dtype)
            out[mask] = taken
    assert out is not None  # every index was drawn from one of the views
    return out


def _optimizer(phase: Phase) -> Any:
    classes = {
        "adam": keras.optimizers.Adam,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    optimizer = classes[phase.optimizer](phase.learning_rate)
    if keras.config.dtype_policy().name == "mixed_float16":
        # Gradients below float16's smallest number would be lost.
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
