"""The phases of a protocol on one backbone: prepared once, trained for every seed, share and rate.

What does not depend on those is computed once: where each phase starts, the rows of the frozen
part, the compiled steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.data import pixels
from bench.errors import DivergedError, TrialError
from bench.models.backends.base import Array
from bench.models.cuts import FEATURES
from bench.models.head_copies import HeadCopies
from bench.models.network import initialise_head, random_states, restore, seed_dropout, snapshot
from bench.protocol import Phase
from bench.training.augment import PLAIN, View, describe_views, fixed_views
from bench.training.course import Course, FirstPhase, TrainingResult, only
from bench.training.events import EpochEnded, Listener, StageProgress, stage_progress
from bench.training.features import Frozen
from bench.training.job import Job
from bench.training.prepared import PreparedModel
from bench.training.rows import Rows, Subset, stratified
from bench.training.train import PhaseTrainer
from bench.types import Epoch, PhaseResult, SplitName, Trial

MAX_COPIED = 10**7  # parameters of all copies of a head: more would cost memory and save no time


class Phases:
    """All phases of the job's protocol, on one network with one head."""

    def __init__(
        self, job: Job, trial: Trial, prepared: PreparedModel, frozen: Frozen, listener: Listener
    ) -> None:
        self.job, self.settings, self.listener = job, trial.settings, listener
        self.network, self.head, self.backend = prepared.network, prepared.head, prepared.backend
        self.frozen = frozen
        self.compile_seconds = self._compiling = 0.0
        self._cuts, self.pretrained = prepared.cuts, prepared.weights.pretrained
        self._rows = self._prepare(trial)
        self._trainers: list[PhaseTrainer] = []
        self.initial = snapshot(self.network.base.weights)

    def train(
        self, trial: Trial, multiplier: float = 1.0, first: FirstPhase | None = None
    ) -> TrainingResult:
        """Train from the pretrained weights and a newly drawn head, at this multiple of the
        protocol's learning rates; or go on from the `first` phase, which was trained already."""
        self._reset(trial)
        chosen = self._chosen(trial)
        results: list[PhaseResult] = []
        after: list[Array] = []
        predict_seconds = 0.0
        validation: Array | None = None
        if first is not None:
            restore(self.head.weights, first.head)
            restore(random_states(self.head), first.dropout)
            results, after, validation = [first.result], [first.test], first.validation
            predict_seconds = first.predict_seconds
        for index in range(len(results), len(self._cuts)):
            rate = self.job.protocol.phases[index].learning_rate * multiplier
            try:
                course = only(self._phase(trial, index, chosen, [rate], validation))
            except DivergedError as error:
                self._check_start(trial, chosen, error)
                raise
            results.append(self._result(index, course))
            validation = course.validation
            begun = time.perf_counter()
            after.append(self._predict_test(index)[0])
            predict_seconds += time.perf_counter() - begun
        assert validation is not None  # a protocol has a phase
        return TrainingResult(
            tuple(results), np.stack(after), validation, len(chosen), predict_seconds
        )

    def first_at_all_rates(
        self, trial: Trial, multipliers: Sequence[float]
    ) -> list[FirstPhase | None]:
        """Train the first phase at several learning rates in one pass over the rows, where it
        trains the head alone: the results are those of one rate after another. `None` where a rate
        diverged; an empty list where each has to be trained by itself."""
        # A loss-scaling optimizer would skip a step of all copies where one's gradient overflows.
        apart = self._cuts[0] != FEATURES or trial.settings.precision == "mixed_float16"
        if apart or self.head.count_params() * len(multipliers) > MAX_COPIED:
            return []
        begun, compiled = time.perf_counter(), self.compile_seconds
        self.listener(StageProgress(trial, f"{len(multipliers)} learning rates in one pass"))
        self._reset(trial)
        chosen = self._chosen(trial)
        own = self.job.protocol.phases[0].learning_rate
        courses = self._phase(trial, 0, chosen, [own * m for m in multipliers])
        trained = time.perf_counter()
        test, weights = self._predict_test(0), self._trainers[0].copies
        ended = time.perf_counter()
        spent = ended - begun - (self.compile_seconds - compiled)
        errors = [course.error for course in courses if course.error is not None]
        usable = len(courses) - len(errors)
        if errors:
            self._check_start(trial, chosen, errors[0])
        return [
            None
            if course.error is not None
            else FirstPhase(
                result=self._result(0, course),
                validation=course.validation,
                test=test[copy],
                head=snapshot(own),
                dropout=course.dropout,
                predict_seconds=(ended - trained) / usable,
                seconds=spent / usable,
            )
            for copy, (course, own) in enumerate(zip(courses, weights, strict=True))
        ]

    def predict_images(self, pixels: Rows) -> Array:
        """Return the probabilities of the model as last trained for images outside the data set."""
        last = len(self._cuts) - 1
        return self._predict(last, self.frozen.over(pixels, self._cuts[last]))

    def copy_weights(self) -> list[Array]:
        """Return a copy of the weights that the last training left in the model."""
        return snapshot(self._variables())

    def restore_weights(self, weights: Sequence[Array]) -> None:
        """Restore the model to what it was when `weights` were copied."""
        restore(self._variables(), weights)

    def _reset(self, trial: Trial) -> None:
        restore(self.network.base.weights, self.initial)
        seed_dropout(self.network.base, trial.seed)
        initialise_head(self.head, trial.seed)

    def _chosen(self, trial: Trial) -> Array:
        return stratified(pixels.labels(self.job.dataset, "train"), trial.fraction, trial.seed)

    def _predict_test(self, index: int) -> list[Array]:
        return self._trainers[index].predict(self._rows["test", PLAIN][self._cuts[index]])

    def _predict(self, index: int, rows: Rows) -> Array:
        """Return the probabilities of the model as it is, through what a phase trains."""
        trainer = self._trainers[index]
        if trainer.rates:
            trainer.tail.copy_from(self.head)
        return trainer.predict(rows)[0]

    def _variables(self) -> list[Any]:
        return [*self.network.base.weights, *self.head.weights]

    def _check_start(self, trial: Trial, chosen: Array, error: DivergedError) -> None:
        """Raise another error where the network gave NaN before any training: the learning rate is
        not to blame."""
        self._reset(trial)
        validation = self._rows["validation", PLAIN][self._cuts[0]]
        training = self._views_of(trial, 0, self.job.protocol.phases[0], chosen)(0)
        for what, rows in (("validation", validation), *(("training", view) for view in training)):
            wrong = np.asarray(np.isnan(self._predict(0, rows)).any(axis=1))
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
        chosen: Array,
        rates: Sequence[float],
        begin: Array | None = None,
    ) -> list[Course]:
        """Train one phase at each of these learning rates.

        `begin` are the validation probabilities before it; none in the first phase, whose head is
        new.
        """
        phase = self.job.protocol.phases[index]

        def on_epoch(number: int, epoch: Epoch) -> None:
            random = not self.pretrained
            self.listener(EpochEnded(trial, phase.name, phase.epochs, number, epoch, random))

        cut = self._cuts[index]
        self.network.unfreeze(phase)
        if index == len(self._trainers):
            self._trainers.append(self._trainer(index, phase, rates))
        trainer = self._trainers[index]
        if trainer.rates:
            trainer.tail.copy_from(self.head)
        validation = self._rows["validation", PLAIN][cut]
        self._compiling = trainer.compile(validation, self.settings.batch_size)
        self.compile_seconds += self._compiling
        return trainer.run(
            self._views_of(trial, index, phase, chosen),
            pixels.labels(self.job.dataset, "train")[chosen],
            validation,
            pixels.labels(self.job.dataset, "validation"),
            begin=begin,
            seed=trial.seed,
            batch_size=self.settings.batch_size,
            learning_rate=rates[0],
            on_batch=stage_progress(self.listener, trial, phase.name, "phase"),
            on_epoch=on_epoch,
        )

    def _trainer(self, index: int, phase: Phase, rates: Sequence[float]) -> PhaseTrainer:
        if len(rates) > 1:
            copies = HeadCopies(self.head, len(rates))
            return PhaseTrainer(phase, index, copies, self.backend, rates)
        tail = self.network.tail(self._cuts[index], self.head, phase, fold=True)
        return PhaseTrainer(phase, index, tail, self.backend)

    def _result(self, index: int, course: Course) -> PhaseResult:
        """Return what is recorded of a phase; the first result after a compilation tells it."""
        phase = self.job.protocol.phases[index]
        compile_seconds, self._compiling = self._compiling, 0.0
        return PhaseResult(
            name=phase.name,
            cut=self._cuts[index],
            views=describe_views(phase.augment, cached=self.settings.cache),
            trainable_parameters=self._trainers[index].trainable_parameters,
            best_epoch=course.best_epoch,
            stopped_early=course.stopped_early,
            epochs=tuple(course.epochs),
            compile_seconds=compile_seconds,
            train_seconds=course.train_seconds,
            start=course.start,
            at_limit=course.at_limit,
        )

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
