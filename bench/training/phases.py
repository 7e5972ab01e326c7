"""The phases of a protocol on one backbone: prepared once, trained for every seed, share and rate.

What does not depend on those is computed once: where each phase starts, the rows of the frozen
part, the compiled steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.data import pixels
from bench.errors import DivergedError, TrialError
from bench.models.backends.base import Array
from bench.models.network import initialise_head, restore, seed_dropout, snapshot
from bench.protocol import Phase
from bench.training.augment import PLAIN, View, fixed_views
from bench.training.events import EpochEnded, Listener, stage_progress
from bench.training.features import Frozen, Rows
from bench.training.job import Job
from bench.training.prepared import PreparedModel
from bench.training.train import PhaseTrainer
from bench.types import Epoch, PhaseResult, SplitName, Trial


@dataclass(frozen=True)
class TrainingResult:
    """The result of one training; its weights are in the network and the head."""

    phases: tuple[PhaseResult, ...]
    test: Array  # probabilities after each phase: phases x images x classes
    validation: Array  # probabilities after the last
    train_images: int
    predict_seconds: float


class Phases:
    """All phases of the job's protocol, on one network with one head."""

    def __init__(
        self, job: Job, trial: Trial, prepared: PreparedModel, frozen: Frozen, listener: Listener
    ) -> None:
        self.job, self.settings, self.listener = job, trial.settings, listener
        self.network, self.head, self.backend = prepared.network, prepared.head, prepared.backend
        self.frozen = frozen
        self.compile_seconds = 0.0
        self._cuts, self.pretrained = prepared.cuts, prepared.weights.pretrained
        self._rows = self._prepare(trial)
        self._trainers: list[PhaseTrainer] = []
        self.initial = snapshot(self.network.base.weights)

    def train(self, trial: Trial, multiplier: float = 1.0) -> TrainingResult:
        """Train from the pretrained weights and a newly drawn head, at this multiple of the
        protocol's learning rates."""
        restore(self.network.base.weights, self.initial)
        seed_dropout(self.network.base, trial.seed)
        initialise_head(self.head, trial.seed)
        chosen = stratified(pixels.labels(self.job.dataset, "train"), trial.fraction, trial.seed)
        results: list[PhaseResult] = []
        after: list[Array] = []
        predict_seconds = 0.0
        validation = np.empty(0)
        for index, phase in enumerate(self.job.protocol.phases):
            known = validation if index else None
            try:
                result, validation = self._phase(trial, index, phase, chosen, multiplier, known)
            except DivergedError as error:
                self._check_start(trial, chosen, error)
                raise
            results.append(result)
            begun = time.perf_counter()
            rows = self._rows["test", PLAIN][self._cuts[index]]
            after.append(self._trainers[index].predict(rows))
            predict_seconds += time.perf_counter() - begun
        return TrainingResult(
            tuple(results), np.stack(after), validation, len(chosen), predict_seconds
        )

    def predict_images(self, pixels: Rows) -> Array:
        """Return the probabilities of the model as last trained for images outside the data set."""
        return self._trainers[-1].predict(self.frozen.over(pixels, self._cuts[-1]))

    def copy_weights(self) -> list[Array]:
        """Return a copy of the weights that the last training left in the model."""
        return snapshot(self._variables())

    def restore_weights(self, weights: Sequence[Array]) -> None:
        """Restore the model to what it was when `weights` were copied."""
        restore(self._variables(), weights)

    def _variables(self) -> list[Any]:
        return [*self.network.base.weights, *self.head.weights]

    def _check_start(self, trial: Trial, chosen: Array, error: DivergedError) -> None:
        """Raise another error where the network gave NaN before any training: the learning rate is
        not to blame."""
        restore(self.network.base.weights, self.initial)
        initialise_head(self.head, trial.seed)
        validation = self._rows["validation", PLAIN][self._cuts[0]]
        training = self._views_of(trial, 0, self.job.protocol.phases[0], chosen)(0)
        for what, rows in (("validation", validation), *(("training", view) for view in training)):
            wrong = np.asarray(np.isnan(self._trainers[0].predict(rows)).any(axis=1))
            if wrong.any():
                raise TrialError(
                    f"before any training {trial.name} gives NaN for {wrong.sum():,} of "
                    f"{len(wrong):,} {what} images; check its preprocess and its weights, and "
                    f"--precision if it is not float32."
                ) from error

    def _prepare(self, trial: Trial) -> dict[tuple[SplitName, View], dict[str, Rows]]:
        """Compute all rows that do not change from epoch to epoch, in as few passes as possible."""
        cuts = set(self._cuts)
        wanted: dict[tuple[SplitName, View], set[str]] = {
            ("validation", PLAIN): cuts,
            ("test", PLAIN): cuts,
        }
        for phase, cut in zip(self.job.protocol.phases, self._cuts, strict=True):
            for view in fixed_views(phase.augment):
                wanted.setdefault(("train", view), set()).add(cut)
        rows: dict[tuple[SplitName, View], dict[str, Rows]] = {}
        for (split, view), needed in wanted.items():
            stage = f"frozen part, {split}" + ("" if view == PLAIN else f" ({view.name})")
            progress = stage_progress(self.listener, trial, stage)
            rows[split, view] = self.frozen.rows(split, view, sorted(needed), progress)
        return rows

    def _phase(
        self,
        trial: Trial,
        index: int,
        phase: Phase,
        chosen: Array,
        multiplier: float,
        begin: Array | None,
    ) -> tuple[PhaseResult, Array]:
        """Train one phase; return its result and the validation probabilities after it.

        `begin` are those before it; none in the first phase, whose head is new.
        """

        def on_epoch(number: int, epoch: Epoch) -> None:
            random = not self.pretrained
            self.listener(EpochEnded(trial, phase.name, phase.epochs, number, epoch, random))

        cut = self._cuts[index]
        self.network.unfreeze(phase)
        if index == len(self._trainers):
            tail = self.network.tail(cut, self.head, phase, fold=self.backend.gains_from_folding)
            self._trainers.append(PhaseTrainer(phase, index, tail, self.backend))
        trainer = self._trainers[index]
        validation = self._rows["validation", PLAIN][cut]
        compile_seconds = trainer.compile(validation, self.settings.batch_size)
        self.compile_seconds += compile_seconds
        outcome = trainer.run(
            self._views_of(trial, index, phase, chosen),
            pixels.labels(self.job.dataset, "train")[chosen],
            validation,
            pixels.labels(self.job.dataset, "validation"),
            begin=begin,
            seed=trial.seed,
            batch_size=self.settings.batch_size,
            learning_rate=phase.learning_rate * multiplier,
            on_batch=stage_progress(self.listener, trial, phase.name, "phase"),
            on_epoch=on_epoch,
        )
        result = PhaseResult(
            name=phase.name,
            cut=cut,
            views=self._describe_views(phase),
            trainable_parameters=trainer.trainable_parameters,
            best_epoch=outcome.best_epoch,
            stopped_early=outcome.stopped_early,
            epochs=outcome.epochs,
            compile_seconds=compile_seconds,
            train_seconds=outcome.train_seconds,
            start=outcome.start,
            at_limit=outcome.at_limit,
        )
        return result, outcome.validation

    def _views_of(
        self, trial: Trial, index: int, phase: Phase, chosen: Array
    ) -> Callable[[int], Sequence[Rows]]:
        cut, whole = self._cuts[index], len(chosen) == len(self.job.dataset.splits["train"])

        def part(rows: Rows) -> Rows:
            return rows if whole else Subset(rows, chosen)

        fixed = fixed_views(phase.augment)
        if fixed:
            views = [part(self._rows["train", view][cut]) for view in fixed]
            return lambda epoch: views

        def drawn(epoch: int) -> Sequence[Rows]:
            seed = (trial.seed, index, epoch)
            view = View(f"epoch {epoch}", augment=phase.augment, seed=seed)
            return [part(self.frozen.stream("train", view, cut))]

        return drawn

    def _describe_views(self, phase: Phase) -> str:
        cached = "cached" if self.settings.cache else "not cached"
        fixed = fixed_views(phase.augment)
        if not fixed:
            return "drawn anew every epoch; the frozen part ran each time"
        if len(fixed) == 1:
            return f"one view, {cached}"
        return f"{len(fixed)} views, {cached}, drawn per image and epoch"


@dataclass(frozen=True)
class Subset:
    """The rows of some of the training images, taken from those computed for all of them."""

    rows: Rows
    chosen: Array

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, indices: Array) -> Array:
        return self.rows.take(self.chosen[indices])


def stratified(labels: Array, fraction: float, seed: int) -> Array:
    """Return the sorted numbers of the images in a share: that share of each class, rounded, and at
    least one image of it.

    The training seed chooses, so that the spread over seeds includes the choice; with one seed a
    smaller share is part of every larger one.
    """
    kept = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = np.random.default_rng([seed, 2, int(label)]).permutation(members)
        kept.append(order[: max(1, int(fraction * len(members) + 0.5))])
    return np.sort(np.concatenate(kept))
