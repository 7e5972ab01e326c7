"""Train the phases of a protocol on one backbone, for every seed, fraction and learning rate.

The work that does not depend on these is done once: the cut of each phase, the rows of the frozen
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
from bench.training.events import EpochEnded, Listener, StageProgress, stage_progress
from bench.training.features import FrozenFeatures
from bench.training.job import Job
from bench.training.phase_tracker import FirstPhase, PhaseTracker, TrainingResult, single_tracker
from bench.training.phase_trainer import PhaseTrainer
from bench.training.prepared import PreparedModel
from bench.training.rows import Rows, RowSubset, stratified_sample
from bench.types import Epoch, PhaseResult, SplitName, Trial

# Of all copies of a head together: more would take memory and save no time.
MAX_COPIED_PARAMETERS = 10**7


class ProtocolTrainer:
    """The trainer of all phases of the job's protocol, on one network with one head."""

    def __init__(
        self,
        job: Job,
        trial: Trial,
        prepared: PreparedModel,
        frozen: FrozenFeatures,
        listener: Listener,
    ) -> None:
        self.job, self.settings, self.listener = job, trial.settings, listener
        self.network, self.head, self.backend = prepared.network, prepared.head, prepared.backend
        self.frozen = frozen
        self.compile_seconds = self._compiling = 0.0
        self._cuts, self.pretrained = prepared.cuts, prepared.weights.pretrained
        self._rows = self._compute_rows(trial)
        self._trainers: list[PhaseTrainer] = []
        self.initial = snapshot(self.network.base.weights)

    def train(
        self, trial: Trial, multiplier: float = 1.0, first: FirstPhase | None = None
    ) -> TrainingResult:
        """Train all phases from the pretrained weights and a newly drawn head.

        `multiplier` multiplies the protocol's learning rates. With `first`, training continues from
        the result of the first phase.
        """
        self._reset(trial)
        chosen = self._choose_images(trial)
        results: list[PhaseResult] = []
        test: list[Array] = []
        predict_seconds = 0.0
        validation: Array | None = None
        if first is not None:
            restore(self.head.weights, first.head)
            restore(random_states(self.head), first.dropout)
            results, test, validation = [first.result], [first.test], first.validation
            predict_seconds = first.predict_seconds
        for index in range(len(results), len(self._cuts)):
            rate = self.job.protocol.phases[index].learning_rate * multiplier
            try:
                tracker = single_tracker(
                    self._train_phase(trial, index, chosen, [rate], validation)
                )
            except DivergedError as error:
                self._check_untrained(trial, chosen, error)
                raise
            results.append(self._phase_result(index, tracker))
            validation = tracker.validation
            begun = time.perf_counter()
            test.append(self._predict_test(index)[0])
            predict_seconds += time.perf_counter() - begun
        assert validation is not None  # a protocol has a phase
        return TrainingResult(
            tuple(results), np.stack(test), validation, len(chosen), predict_seconds
        )

    def train_first_phase(
        self, trial: Trial, multipliers: Sequence[float]
    ) -> list[FirstPhase | None]:
        """Train the first phase at several learning rates in one pass over the rows.

        The results are the same as those of training at one rate after another; `None` is a rate
        at which training diverged. The list is empty if one pass is not possible, because the phase
        trains more than the head, the copies are too large, or the precision is mixed_float16.
        """
        # A loss-scaling optimizer would skip a step of all copies if one copy's gradient overflows.
        separate = self._cuts[0] != FEATURES or trial.settings.precision == "mixed_float16"
        if separate or self.head.count_params() * len(multipliers) > MAX_COPIED_PARAMETERS:
            return []
        begun, compiled = time.perf_counter(), self.compile_seconds
        self.listener(StageProgress(trial, f"{len(multipliers)} learning rates in one pass"))
        self._reset(trial)
        chosen = self._choose_images(trial)
        rate = self.job.protocol.phases[0].learning_rate
        trackers = self._train_phase(trial, 0, chosen, [rate * m for m in multipliers])
        trained = time.perf_counter()
        test, weights = self._predict_test(0), self._trainers[0].copies
        ended = time.perf_counter()
        spent = ended - begun - (self.compile_seconds - compiled)
        errors = [tracker.error for tracker in trackers if tracker.error is not None]
        usable = len(trackers) - len(errors)
        if errors:
            self._check_untrained(trial, chosen, errors[0])
        return [
            None
            if tracker.error is not None
            else FirstPhase(
                result=self._phase_result(0, tracker),
                validation=tracker.validation,
                test=test[copy],
                head=snapshot(own),
                dropout=tracker.dropout,
                predict_seconds=(ended - trained) / usable,
                seconds=spent / usable,
            )
            for copy, (tracker, own) in enumerate(zip(trackers, weights, strict=True))
        ]

    def predict_images(self, pixels: Rows) -> Array:
        """Return the last trained model's probabilities for images outside the data set."""
        last = len(self._cuts) - 1
        return self._predict(last, self.frozen.stream_rows(pixels, self._cuts[last]))

    def copy_weights(self) -> list[Array]:
        """Return a copy of the model's current weights."""
        return snapshot(self._variables())

    def restore_weights(self, weights: Sequence[Array]) -> None:
        """Assign the weights that `copy_weights` returned."""
        restore(self._variables(), weights)

    def _reset(self, trial: Trial) -> None:
        """Restore the pretrained weights, and draw the head and the dropout states for the seed."""
        restore(self.network.base.weights, self.initial)
        seed_dropout(self.network.base, trial.seed)
        initialise_head(self.head, trial.seed)

    def _choose_images(self, trial: Trial) -> Array:
        """Return the indices of the training images that the trial uses."""
        return stratified_sample(
            pixels.labels(self.job.dataset, "train"), trial.fraction, trial.seed
        )

    def _predict_test(self, index: int) -> list[Array]:
        return self._trainers[index].predict(self._rows["test", PLAIN][self._cuts[index]])

    def _predict(self, index: int, rows: Rows) -> Array:
        """Return the current model's probabilities for rows at the cut of a phase."""
        trainer = self._trainers[index]
        if trainer.rates:
            trainer.tail.copy_from(self.head)
        return trainer.predict(rows)[0]

    def _variables(self) -> list[Any]:
        return [*self.network.base.weights, *self.head.weights]

    def _check_untrained(self, trial: Trial, chosen: Array, error: DivergedError) -> None:
        """Raise `TrialError` if the untrained network gives NaN: then the learning rate is not the
        cause of `error`."""
        self._reset(trial)
        validation = self._rows["validation", PLAIN][self._cuts[0]]
        training = self._views_per_epoch(trial, 0, self.job.protocol.phases[0], chosen)(0)
        for what, rows in (("validation", validation), *(("training", view) for view in training)):
            wrong = np.asarray(np.isnan(self._predict(0, rows)).any(axis=1))
            if wrong.any():
                raise TrialError(
                    f"before any training {trial.name} gives NaN for {wrong.sum():,} of "
                    f"{len(wrong):,} {what} images; check its preprocess and its weights, and "
                    f"--precision if it is not float32."
                ) from error

    def _compute_rows(self, trial: Trial) -> dict[tuple[SplitName, View], dict[str, Rows]]:
        """Compute all rows that are the same in every epoch, in as few passes as possible."""
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

    def _train_phase(
        self,
        trial: Trial,
        index: int,
        chosen: Array,
        rates: Sequence[float],
        start: Array | None = None,
    ) -> list[PhaseTracker]:
        """Train one phase at each of these learning rates.

        `start` are the validation probabilities before the phase; `None` in the first phase, whose
        head is new.
        """
        phase = self.job.protocol.phases[index]

        def on_epoch(number: int, epoch: Epoch) -> None:
            random = not self.pretrained
            self.listener(EpochEnded(trial, phase.name, phase.epochs, number, epoch, random))

        cut = self._cuts[index]
        self.network.unfreeze(phase)
        if index == len(self._trainers):
            self._trainers.append(self._build_trainer(index, phase, rates))
        trainer = self._trainers[index]
        if trainer.rates:
            trainer.tail.copy_from(self.head)
        validation = self._rows["validation", PLAIN][cut]
        self._compiling = trainer.compile(validation, self.settings.batch_size)
        self.compile_seconds += self._compiling
        return trainer.run(
            self._views_per_epoch(trial, index, phase, chosen),
            pixels.labels(self.job.dataset, "train")[chosen],
            validation,
            pixels.labels(self.job.dataset, "validation"),
            start=start,
            seed=trial.seed,
            batch_size=self.settings.batch_size,
            learning_rate=rates[0],
            on_batch=stage_progress(self.listener, trial, phase.name, "phase"),
            on_epoch=on_epoch,
        )

    def _build_trainer(self, index: int, phase: Phase, rates: Sequence[float]) -> PhaseTrainer:
        if len(rates) > 1:
            copies = HeadCopies(self.head, len(rates))
            return PhaseTrainer(phase, index, copies, self.backend, rates)
        tail = self.network.tail(self._cuts[index], self.head, phase, fold=True)
        return PhaseTrainer(phase, index, tail, self.backend)

    def _phase_result(self, index: int, tracker: PhaseTracker) -> PhaseResult:
        """Return the record of a phase; compile seconds go into the first result afterwards."""
        phase = self.job.protocol.phases[index]
        compile_seconds, self._compiling = self._compiling, 0.0
        return PhaseResult(
            name=phase.name,
            cut=self._cuts[index],
            views=describe_views(phase.augment, cached=self.settings.cache),
            trainable_parameters=self._trainers[index].trainable_parameters,
            best_epoch=tracker.best_epoch,
            stopped_early=tracker.stopped_early,
            epochs=tuple(tracker.epochs),
            compile_seconds=compile_seconds,
            train_seconds=tracker.train_seconds,
            start=tracker.start,
            at_limit=tracker.at_limit,
        )

    def _views_per_epoch(
        self, trial: Trial, index: int, phase: Phase, chosen: Array
    ) -> Callable[[int], Sequence[Rows]]:
        """Return a function from the epoch number to the views of the chosen training images."""
        cut, whole = self._cuts[index], len(chosen) == len(self.job.dataset.splits["train"])

        def select(rows: Rows) -> Rows:
            return rows if whole else RowSubset(rows, chosen)

        fixed = fixed_views(phase.augment)
        if fixed:
            views = [select(self._rows["train", view][cut]) for view in fixed]
            return lambda epoch: views

        def draw(epoch: int) -> Sequence[Rows]:
            seed = (trial.seed, index, epoch)
            view = View(f"epoch {epoch}", augment=phase.augment, seed=seed)
            return [select(self.frozen.stream_split("train", view, cut))]

        return draw
