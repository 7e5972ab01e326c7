"""Train one phase: the tail of the network, on rows that the frozen part has computed.

The loop is the usual one: shuffle, step, evaluate on validation, keep the best epoch. It is fast
because the rows come from `features.py`, the backend compiles the step once, the next batch is
gathered during the current step, and nothing waits for the device within an epoch. Several copies
of a head are trained together, each with its own learning rate, best epoch and early stopping.
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
from bench.training.losses import logits_to_probabilities
from bench.training.phase_tracker import PhaseTracker, evaluate
from bench.training.rows import Rows, pad_batch, predict
from bench.types import Epoch

PREFETCHED_BATCHES = 2  # one is trained on while the next is gathered and sent
OnBatch = Callable[[int, int], None]
OnEpoch = Callable[[int, Epoch], None]
ViewsPerEpoch = Callable[[int], Sequence[Rows]]
"""From the epoch number, counted from 0, to the views to draw from in that epoch."""


class PhaseTrainer:
    """The trainer of one phase, compiled once and run for every seed.

    With `rates`, the tail consists of one copy of the head for each of these learning rates.
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
        self.forward: Forward = backend.forward(tail)
        self._initial = snapshot(self.optimizer.variables)
        self._compiled = False

    @property
    def trainable_parameters(self) -> int:
        """Return the number of parameters that the phase trains, in one copy."""
        total = sum(int(np.prod(v.shape)) for v in self.tail.trainable_variables)
        return total // max(1, len(self.rates))

    def compile(self, rows: Rows, batch_size: int) -> float:
        """Compile step and evaluation for this batch size; return the seconds it took."""
        if self._compiled:
            return 0.0
        start = time.perf_counter()
        indices = np.arange(min(len(rows), batch_size))
        self.step.compile(*_batch(indices, [rows], None, np.zeros(len(rows)), batch_size))
        self.forward.compile(pad_batch(rows.take(np.arange(1))))
        self._compiled = True
        return time.perf_counter() - start

    def run(
        self,
        views_per_epoch: ViewsPerEpoch,
        labels: Array,
        validation: Rows,
        validation_labels: Array,
        *,
        start: Array | None = None,
        seed: int,
        batch_size: int,
        learning_rate: float = 0.0,
        on_batch: OnBatch = lambda done, total: None,
        on_epoch: OnEpoch = lambda number, epoch: None,
    ) -> list[PhaseTracker]:
        """Train from the current weights, leave the best epoch's weights in the model, and return
        the tracker of each copy.

        `start` are the validation probabilities of the current weights, if known: early stopping
        keeps these weights if no epoch is better. Of several copies, `on_epoch` gets the epoch with
        the lowest validation loss.
        """
        restore(self.optimizer.variables, self._initial)
        if not self.rates:
            # The learning rate is a variable: changing it needs no compilation.
            self.optimizer.learning_rate = learning_rate
        trackers = [PhaseTracker(self.phase, rate) for rate in self.rates or [learning_rate]]
        begun = time.perf_counter()
        if self.phase.early_stopping is not None:
            predicted = self.predict(validation) if start is None else [start]
            for tracker, found, weights in zip(trackers, predicted, self.copies, strict=True):
                tracker.set_start(evaluate(found, validation_labels), found, snapshot(weights))
        for number in range(1, self.phase.epochs + 1):
            epoch_begun = time.perf_counter()
            rng = np.random.default_rng([seed, 1, self.index, number - 1])
            losses, counts, correct = self._train_epoch(
                views_per_epoch(number - 1), labels, rng, batch_size, on_batch
            )
            predicted = self.predict(validation)
            results = [evaluate(found, validation_labels) for found in predicted]
            active = [i for i, tracker in enumerate(trackers) if not tracker.has_ended]
            seconds = (time.perf_counter() - epoch_begun) / len(active)
            for i in active:
                loss = float((losses[:, i] * counts).sum() / counts.sum())
                accuracy = float(correct[:, i].sum() / counts.sum())
                epoch = Epoch(loss, accuracy, results[i].loss, results[i].accuracy, seconds)
                trackers[i].add_epoch(epoch, predicted[i])
            finite = [trackers[i].epochs[-1] for i in active if trackers[i].error is None]
            if finite:
                on_epoch(number, min(finite, key=lambda epoch: epoch.val_loss))
            self._save_copies(trackers, active)
            if all(tracker.has_ended for tracker in trackers):
                break
        for tracker, variables in zip(trackers, self.copies, strict=True):
            if tracker.weights and tracker.best_epoch != number:
                restore(variables, tracker.weights)
            tracker.weights = []  # the model has them
        in_epochs = sum(epoch.seconds for tracker in trackers for epoch in tracker.epochs)
        shared = (time.perf_counter() - begun - in_epochs) / len(trackers)
        for tracker in trackers:
            tracker.train_seconds = shared + sum(epoch.seconds for epoch in tracker.epochs)
        return trackers

    def predict(self, rows: Rows) -> list[Array]:
        """Return the class probabilities (images x classes) of each copy with current weights."""
        probabilities = logits_to_probabilities(predict(self.forward, rows))
        return list(np.moveaxis(probabilities, 1, 0)) if self.rates else [probabilities]

    def _save_copies(self, trackers: Sequence[PhaseTracker], active: Sequence[int]) -> None:
        """Save the weights of the copies that improved, and the dropout states if a copy ended."""
        for i in active:
            if trackers[i].improved:
                trackers[i].weights = snapshot(self.copies[i])
        if self.rates and any(trackers[i].has_ended for i in active):
            states = snapshot(random_states(self.tail))
            for i in active:
                trackers[i].dropout = states

    def _train_epoch(
        self,
        views: Sequence[Rows],
        labels: Array,
        rng: np.random.Generator,
        batch_size: int,
        on_batch: OnBatch,
    ) -> tuple[Array, Array, Array]:
        """Train one epoch; return the losses (batches x copies), the numbers of images of the
        batches, and those of correctly classified images (batches x copies)."""
        order = rng.permutation(len(labels))
        view_of = rng.integers(len(views), size=len(labels)) if len(views) > 1 else None
        # The last batch is padded if another size would need a compilation; not for BatchNorm in
        # training mode, which must not see padding, even of weight zero.
        size = 0 if self.step.any_size or self.tail.trains_batchnorm else batch_size

        def prepare(first: int) -> tuple[Any, int]:
            batch = _batch(order[first : first + batch_size], views, view_of, labels, size)
            return self.step.put(*batch), int(batch[2].sum())

        starts = range(0, len(labels), batch_size)
        results, counts = [], []
        with ThreadPoolExecutor(1, "next batch") as pool:
            for done, (batch, count) in enumerate(
                prefetch_map(pool, prepare, starts, PREFETCHED_BATCHES), 1
            ):
                results.append(self.step(batch))
                counts.append(count)
                on_batch(done, len(starts))
        values = self.step.fetch(results).astype(np.float64)
        self.step.sync()
        values = values.reshape(len(counts), 2, -1)
        return values[:, 0], np.asarray(counts, np.float64), values[:, 1]


def _batch(
    indices: Array, views: Sequence[Rows], view_of: Array | None, labels: Array, size: int = 0
) -> tuple[Array, Array, Array]:
    """Return rows, labels and weights, padded to `size` with rows of weight zero.

    `view_of` is the view of each image; `None` if there is only one view.
    """
    real = len(indices)
    indices = np.resize(indices, max(size, real))
    weight = (np.arange(len(indices)) < real).astype("float32")
    return _gather(indices, views, view_of), labels[indices].astype("int32"), weight


def _gather(indices: Array, views: Sequence[Rows], view_of: Array | None) -> Array:
    if view_of is None:
        return views[0].take(indices)
    out: Array | None = None
    for number, rows in enumerate(views):
        mask = view_of[indices] == number
        if mask.any():
            taken = rows.take(indices[mask])
            if out is None:
                out = np.empty((len(indices), *taken.shape[1:]), taken.dtype)
            out[mask] = taken
    assert out is not None  # each image has a view
    return out


def _optimizer(
    phase: Phase, backend: Backend, tail: Tail | HeadCopies, rates: Sequence[float]
) -> Any:
    classes = {
        "adam": backend.adam,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    optimizer_class = classes[phase.optimizer]
    if rates:
        return _per_copy_optimizer(optimizer_class, tail, rates)
    optimizer = optimizer_class(phase.learning_rate)
    if keras.config.dtype_policy().name == "mixed_float16":
        # Without loss scaling, gradients below float16's smallest number would be lost.
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _per_copy_optimizer(
    optimizer_class: Any, tail: Tail | HeadCopies, rates: Sequence[float]
) -> Any:
    """Return an optimizer of this class that updates each copy at its own learning rate."""
    copies = zip(tail.weights_per_copy(), rates, strict=True)
    rate_of = {id(variable): rate for variables, rate in copies for variable in variables}
    rate_per_variable = np.asarray([rate_of[id(v)] for v in tail.trainable_variables], "float32")

    class PerCopyOptimizer(optimizer_class):  # type: ignore[misc]
        # On PyTorch, Keras replaces its own classes, but not this, by ones for a single rate.
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            rate = learning_rate[self._get_variable_index(variable)]
            super().update_step(gradient, variable, rate)

    return PerCopyOptimizer(lambda: rate_per_variable)
