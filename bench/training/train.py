"""Train one phase: the tail of the network on rows that the frozen part has computed.

The loop is the usual one: shuffle, step, evaluate on validation, keep the best. It is fast because
rows come from `features.py`, the backend compiles the step once, the next batch is gathered while
this one trains, and nothing waits for the device inside an epoch. Several copies of a head go
through it together, each with a learning rate, a best epoch and an end of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from bench.models.backends.base import Array, Backend, Forward, TrainStep
from bench.models.head_copies import HeadCopies
from bench.models.network import (
    Tail,
    random_states,
    restore,
    snapshot,
    weighted_loss,
)
from bench.protocol import Phase
from bench.system.parallel import prefetch_map
from bench.training.course import Course, evaluate
from bench.training.losses import probabilities
from bench.training.rows import Rows, full_batch, predict
from bench.types import Epoch

AHEAD = 2  # batches in progress: one trains, one is gathered and sent
OnBatch = Callable[[int, int], None]
OnEpoch = Callable[[int, Epoch], None]
ViewsOf = Callable[[int], Sequence[Rows]]
"""Epoch number -> the views to draw from in that epoch."""


class PhaseTrainer:
    """One phase of one network, compiled once and run for every seed.

    With `rates`, the tail is as many copies of a head, and each is trained at its own of these.
    """

    def __init__(
        self,
        phase: Phase,
        index: int,
        tail: Tail | HeadCopies,
        backend: Backend,
        rates: Sequence[float] = (),
    ) -> None:
        self.phase, self.index, self.tail, self.rates = phase, index, tail, rates
        self.copies: list[list[Any]] = tail.weights_per_copy()
        self.optimizer = _optimizer(phase, backend, tail, rates)
        self.step: TrainStep = backend.train_step(tail, self.optimizer, weighted_loss)
        self.evaluate: Forward = backend.forward(tail)
        self._fresh = snapshot(self.optimizer.variables)
        self._compiled = False

    @property
    def trainable_parameters(self) -> int:
        """Return how many parameters one training changes."""
        every = sum(int(np.prod(v.shape)) for v in self.tail.trainable_variables)
        return every // max(1, len(self.rates))

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
        learning_rate: float = 0.0,
        on_batch: OnBatch = lambda done, total: None,
        on_epoch: OnEpoch = lambda number, epoch: None,
    ) -> list[Course]:
        """Train from the current weights; leave the kept epoch's weights in the model.

        `begin` are the validation probabilities of the current weights, where they are known:
        early stopping keeps these weights if no epoch is better. Returns the course of each copy;
        of several, `on_epoch` gets the one with the lowest validation loss.
        """
        restore(self.optimizer.variables, self._fresh)
        if not self.rates:
            # The rate is a variable: another one needs no compilation.
            self.optimizer.learning_rate = learning_rate
        courses = [Course(self.phase, rate) for rate in self.rates or [learning_rate]]
        start = time.perf_counter()
        if self.phase.early_stopping is not None:
            begun_with = self.predict(validation) if begin is None else [begin]
            for course, guessed, own in zip(courses, begun_with, self.copies, strict=True):
                course.begin(evaluate(guessed, validation_labels), guessed, snapshot(own))
        for number in range(1, self.phase.epochs + 1):
            begun = time.perf_counter()
            rng = np.random.default_rng([seed, 1, self.index, number - 1])
            losses, counts, right = self._epoch(
                views_of(number - 1), labels, rng, batch_size, on_batch
            )
            guesses = self.predict(validation)
            judged = [evaluate(guessed, validation_labels) for guessed in guesses]
            active = [i for i, course in enumerate(courses) if not course.ended]
            seconds = (time.perf_counter() - begun) / len(active)
            for i in active:
                loss = float((losses[:, i] * counts).sum() / counts.sum())
                accuracy = float(right[:, i].sum() / counts.sum())
                epoch = Epoch(loss, accuracy, judged[i].loss, judged[i].accuracy, seconds)
                courses[i].take(epoch, guesses[i])
            best = [courses[i].epochs[-1] for i in active if courses[i].error is None]
            if best:
                on_epoch(number, min(best, key=lambda epoch: epoch.val_loss))
            self._note(courses, active)
            if all(course.ended for course in courses):
                break
        for course, own in zip(courses, self.copies, strict=True):
            if course.weights and course.best_epoch != number:
                restore(own, course.weights)
            course.weights = []  # the model has them
        apart = sum(epoch.seconds for course in courses for epoch in course.epochs)
        shared = (time.perf_counter() - start - apart) / len(courses)
        for course in courses:
            course.train_seconds = shared + sum(epoch.seconds for epoch in course.epochs)
        return courses

    def predict(self, rows: Rows) -> list[Array]:
        """Return the class probabilities (images x classes) by the current weights of each copy."""
        found = probabilities(predict(self.evaluate, rows))
        return list(np.moveaxis(found, 1, 0)) if self.rates else [found]

    def _note(self, courses: Sequence[Course], active: Sequence[int]) -> None:
        """Give the copies that became better their weights, and those that ended the state that
        dropout would draw from next."""
        for i in active:
            if courses[i].improved:
                courses[i].weights = snapshot(self.copies[i])
        if self.rates and any(courses[i].ended for i in active):
            states = snapshot(random_states(self.tail))
            for i in active:
                courses[i].dropout = states

    def _epoch(
        self,
        views: Sequence[Rows],
        labels: Array,
        rng: np.random.Generator,
        batch_size: int,
        on_batch: OnBatch,
    ) -> tuple[Array, Array, Array]:
        """Train one epoch; return each batch's loss, number of images and of correct answers; of
        losses and answers a column for each copy."""
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
        values = values.reshape(len(counts), 2, -1)
        return values[:, 0], np.asarray(counts, np.float64), values[:, 1]


def _batch(
    indices: Array, views: Sequence[Rows], chosen: Array | None, labels: Array, size: int = 0
) -> tuple[Array, Array, Array]:
    """Return rows, labels and weights; padded to `size` with rows of weight zero."""
    real = len(indices)
    indices = np.resize(indices, max(size, real))
    weight = (np.arange(len(indices)) < real).astype("float32")
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


def _optimizer(
    phase: Phase, backend: Backend, tail: Tail | HeadCopies, rates: Sequence[float]
) -> Any:
    classes = {
        "adam": backend.adam,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    chosen = classes[phase.optimizer]
    if rates:
        return _by_copy(chosen, tail, rates)
    optimizer = chosen(phase.learning_rate)
    if keras.config.dtype_policy().name == "mixed_float16":
        # Gradients below float16's smallest number would be lost.
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _by_copy(chosen: Any, tail: Tail | HeadCopies, rates: Sequence[float]) -> Any:
    """Return an optimizer of this class that updates each copy at its own rate."""
    own = zip(tail.weights_per_copy(), rates, strict=True)
    rate_of = {id(variable): rate for variables, rate in own for variable in variables}
    each = np.asarray([rate_of[id(v)] for v in tail.trainable_variables], "float32")

    class ByCopy(chosen):  # type: ignore[misc]
        # Keras replaces its own classes on PyTorch by ones for a single rate, but not this.
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            rate = learning_rate[self._get_variable_index(variable)]
            super().update_step(gradient, variable, rate)

    return ByCopy(lambda: each)
