"""Run the trials of one backbone, from its declaration to the records: the method on one page.

Trials with different seeds, fractions of the training set and learning rates share the network, the
frozen activations and the compiled steps. This code runs in a worker process; it does not depend on
other processes or a display, and writes only to the cache and the run's folder.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.data import pixels
from bench.errors import OutOfMemoryError, failure_reason
from bench.models.backends.base import Array
from bench.models.network import count_macs
from bench.models.rebuild import save_trained
from bench.storage.arrays import write_arrays
from bench.storage.cache import Entry, Store
from bench.storage.records import SCHEMA
from bench.system.environment import describe_environment, open_joule_counter, utc_now
from bench.system.memory import is_out_of_memory, memory_error_summary, peak_memory
from bench.training import robustness
from bench.training.accounting import ImportTime, trial_seconds
from bench.training.events import Listener, RecordMade, StageProgress, stage_progress
from bench.training.features import FrozenFeatures
from bench.training.job import Job
from bench.training.prepared import prepare_model
from bench.training.probes import cross_validate
from bench.training.protocol_trainer import ProtocolTrainer
from bench.training.tuning import TuningResult, search_rates
from bench.types import SPLITS, Record, SplitName, Trial


def run_trials(job: Job, listener: Listener, imports: ImportTime) -> None:
    """Run the job's trials in order and send a record of each, also of those that fail.

    Raise `OutOfMemoryError` if memory runs out: the trial is then retried with smaller steps.
    """
    runner: _TrialRunner | None = None
    with ExitStack() as stack:
        store = Store(Path(job.store), job.store_limit_bytes)
        stack.callback(store.release)
        for trial in job.trials:
            started = utc_now()
            try:
                if job.task == "probe":
                    record = _probe(job, trial, listener, imports, store)
                else:
                    runner = runner or _TrialRunner(job, trial, listener, imports, store)
                    record = runner.run(trial)
            except Exception as error:
                traceback.print_exc()
                if is_out_of_memory(error):
                    why = f"out of memory ({memory_error_summary(error)})."
                    raise OutOfMemoryError(why) from error
                why = failure_reason(error)
                record = Record(SCHEMA, trial, "failed", why, environment=describe_environment())
            record = replace(
                record,
                started=started,
                finished=utc_now(),
                command=job.command,
                split_seed=job.split_seed,
            )
            listener(RecordMade(record))


def _probe(job: Job, trial: Trial, listener: Listener, imports: ImportTime, store: Store) -> Record:
    """Cross-validate a logistic regression on the features of the job's sample of images.

    The record has no phases, and its arrays no test images: `validation_*` are the sampled training
    images, each predicted by a regression fitted without its fold. How screening uses them is in
    `bench/analysis/screening.py`.
    """
    listener(StageProgress(trial, "building"))
    prepared = prepare_model(job)
    images: dict[SplitName, Entry] = {
        "train": pixels.get_entry(job.dataset, "train", trial.input_size, store)
    }
    cache = store if trial.settings.cache else None
    frozen = FrozenFeatures(prepared.passes, prepared.fingerprint, images, cache, job.sample)
    progress = stage_progress(listener, trial, "frozen part, training images")
    features = frozen.pooled_sample(progress)
    listener(StageProgress(trial, "logistic regression"))
    labels = pixels.labels(job.dataset, "train")[np.array(job.sample)]
    begun = time.perf_counter()
    probabilities = cross_validate(features, labels, len(job.dataset.classes), np.array(job.groups))
    train = time.perf_counter() - begun
    arrays = {"validation_labels": labels, "validation_probabilities": probabilities}
    shared = {"build": prepared.seconds, "data": images["train"].cost_seconds}
    return Record(
        schema=SCHEMA,
        trial=trial,
        status="ok",
        weights=prepared.weights,
        seconds=trial_seconds(
            imports, shared, frozen.pass_times, prepared.passes.compile_seconds, train
        ),
        environment=describe_environment() | {"device": vars(prepared.device)},
        notes=(*frozen.notes, *job.notes),
        train_images=len(labels),
        arrays_sha256=write_arrays(Path(job.folder), trial.key, arrays),
    )


class _TrialRunner:
    """Train and measure the trials of one backbone, with all that they share."""

    def __init__(
        self, job: Job, trial: Trial, listener: Listener, imports: ImportTime, store: Store
    ) -> None:
        self.job, self.listener = job, listener
        self.folder = Path(job.folder)
        self.settings = trial.settings
        counter = open_joule_counter()
        self.counted_joules = counter() if counter is not None else 0.0
        listener(StageProgress(trial, "building"))
        self.prepared = prepare_model(job)
        self.imports = imports
        self.seconds = {"build": self.prepared.seconds}
        self.images: dict[SplitName, Entry] = {
            split: pixels.get_entry(job.dataset, split, trial.input_size, store) for split in SPLITS
        }
        self.labels = {split: pixels.labels(job.dataset, split) for split in SPLITS}
        self.seconds["data"] = sum(entry.cost_seconds for entry in self.images.values())
        self.frozen = FrozenFeatures(
            self.prepared.passes,
            self.prepared.fingerprint,
            self.images,
            store if self.settings.cache else None,
            job.sample,
        )
        self.trainer = ProtocolTrainer(job, trial, self.prepared, self.frozen, listener)
        self.joule_counter = counter if self.prepared.device.kind == "gpu" else None
        self.runs = 0

    def run(self, trial: Trial) -> Record:
        """Train and measure one seed with one fraction of the training set."""
        first, network = self.runs == 0, self.prepared.network
        if self.settings.tune:
            tuned = search_rates(self.trainer, trial, self.labels["validation"], self.listener)
        else:
            tuned = TuningResult(self.trainer.train(trial))
        self.runs += 1
        trained = tuned.trained
        if first or self.job.keep_models != "none":
            # Measuring, after all training, needs one model of each backbone.
            save_trained(
                self.folder, trial.key, network.base, self.prepared.head, self.trainer.initial
            )
        classifier = network.classifier(self.prepared.head)
        arrays = {
            "test_labels": self.labels["test"],
            "test_probabilities": trained.test[-1],
            "validation_labels": self.labels["validation"],
            "validation_probabilities": trained.validation,
            "phase_test_probabilities": trained.test,
        }
        passes = self.prepared.passes
        begun = time.perf_counter() - passes.compile_seconds
        robust = self._measure_robustness(trial)
        # Compile time is counted separately.
        robustness_seconds = time.perf_counter() - passes.compile_seconds - begun
        digest = write_arrays(self.folder, trial.key, {**arrays, **tuned.arrays, **robust})
        seconds = trial_seconds(
            self.imports,
            self.seconds,
            self.frozen.pass_times,
            compile_seconds=self.trainer.compile_seconds + passes.compile_seconds,
            train=sum(phase.train_seconds for phase in trained.phases),
            tuning=sum(rate.seconds for rate in tuned.tried if not rate.chosen),
            predict=trained.predict_seconds,
            robustness=robustness_seconds if robust else 0.0,
            first=first,
        )
        return Record(
            schema=SCHEMA,
            trial=trial,
            status="ok",
            weights=self.prepared.weights,
            parameters=classifier.count_params(),
            size_bytes=sum(int(np.prod(w.shape)) * 4 for w in classifier.weights),
            phases=trained.phases,
            seconds=seconds,
            environment=describe_environment() | {"device": vars(self.prepared.device)},
            notes=(*self.frozen.notes, *self.job.notes),
            train_images=trained.train_images,
            tuning=tuned.tried,
            flops=int(2 * np.nan_to_num(count_macs(classifier))),
            memory_bytes=peak_memory(),
            device_memory_bytes=self.prepared.backend.memory_peak(),
            joules=self._joules_used(),
            accumulation=self.job.accumulation,
            arrays_sha256=digest,
        )

    def _joules_used(self) -> float | None:
        """Return the energy that the GPU used since the previous trial, or since the start."""
        if self.joule_counter is None:
            return None
        before, self.counted_joules = self.counted_joules, self.joule_counter()
        return self.counted_joules - before

    def _measure_robustness(self, trial: Trial) -> Mapping[str, Array]:
        """Predict corrupted images if requested and meaningful: not with random weights, and not
        for smaller fractions of the training set, which serve only learning curves."""
        if (
            not self.job.measuring.robustness
            or not self.prepared.weights.pretrained
            or trial.fraction < self.job.largest_fraction
        ):
            return {}
        progress = stage_progress(self.listener, trial, "corrupted test images")
        images = self.images["test"].array()
        return robustness.predict_corrupted(
            images, self.labels["test"], self.trainer.predict_images, progress
        )
