"""The trials of one backbone, from its declaration to their records: the whole method on one page.

Seeds, shares of the training images and learning rates share what does not depend on them: the
network, the frozen activations and the compiled steps. This code runs in a worker process; it
depends on no process, no display, and no file but the run's arrays.
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
from bench.training.accounting import Imports, account
from bench.training.events import Listener, RecordMade, StageProgress, stage_progress
from bench.training.features import Frozen
from bench.training.job import Job
from bench.training.phases import Phases
from bench.training.prepared import build
from bench.training.probes import cross_validate
from bench.training.tuning import TuningResult, search
from bench.types import SPLITS, Record, SplitName, Trial


def run_trials(job: Job, listener: Listener, imports: Imports) -> None:
    """Run the job's trials in order; each ends in a record, unless memory is short."""
    setup: _Setup | None = None
    with ExitStack() as stack:
        store = Store(Path(job.store), job.store_limit_bytes)
        stack.callback(store.release)
        for trial in job.trials:
            started = utc_now()
            try:
                if job.task == "probe":
                    record = _probe(job, trial, listener, imports, store)
                else:
                    setup = setup or _Setup(job, trial, listener, imports, store)
                    record = setup.run(trial)
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


def _probe(job: Job, trial: Trial, listener: Listener, imports: Imports, store: Store) -> Record:
    """Compute the features of the job's sample and cross-validate on them.

    Its record has no phases, and its arrays no test images: `validation_*` are some training
    images, each answered by a logistic regression that was fitted without its fold. What the
    answers decide, is in `bench/analysis/screening.py`.
    """
    listener(StageProgress(trial, "building"))
    prepared = build(job)
    images: dict[SplitName, Entry] = {
        "train": pixels.get_entry(job.dataset, "train", trial.input_size, store)
    }
    kept = store if trial.settings.cache else None
    frozen = Frozen(prepared.passes, prepared.fingerprint, images, kept, job.sample)
    progress = stage_progress(listener, trial, "frozen part, training images")
    features = frozen.pooled_sample(progress)
    listener(StageProgress(trial, "logistic regression"))
    labels = pixels.labels(job.dataset, "train")[np.array(job.sample)]
    begun = time.perf_counter()
    answers = cross_validate(features, labels, len(job.dataset.classes), np.array(job.groups))
    train = time.perf_counter() - begun
    arrays = {"validation_labels": labels, "validation_probabilities": answers}
    shared = {"build": prepared.seconds, "data": images["train"].cost_seconds}
    return Record(
        schema=SCHEMA,
        trial=trial,
        status="ok",
        weights=prepared.weights,
        seconds=account(imports, shared, frozen.ledger, prepared.passes.compile_seconds, train),
        environment=describe_environment() | {"device": vars(prepared.device)},
        notes=(*frozen.notes, *job.notes),
        train_images=len(labels),
        arrays_sha256=write_arrays(Path(job.folder), trial.key, arrays),
    )


class _Setup:
    """What the trials of one backbone share."""

    def __init__(
        self, job: Job, trial: Trial, listener: Listener, imports: Imports, store: Store
    ) -> None:
        self.job, self.listener = job, listener
        self.folder = Path(job.folder)
        self.settings = trial.settings
        joules = open_joule_counter()
        self.counted = joules() if joules is not None else 0.0
        listener(StageProgress(trial, "building"))
        self.prepared = build(job)
        self.imports = imports
        self.seconds = {"build": self.prepared.seconds}
        self.images: dict[SplitName, Entry] = {
            split: pixels.get_entry(job.dataset, split, trial.input_size, store) for split in SPLITS
        }
        self.labels = {split: pixels.labels(job.dataset, split) for split in SPLITS}
        self.seconds["data"] = sum(entry.cost_seconds for entry in self.images.values())
        self.frozen = Frozen(
            self.prepared.passes,
            self.prepared.fingerprint,
            self.images,
            store if self.settings.cache else None,
            job.sample,
        )
        self.phases = Phases(job, trial, self.prepared, self.frozen, listener)
        self.joules = joules if self.prepared.device.kind == "gpu" else None
        self.runs = 0

    def run(self, trial: Trial) -> Record:
        """Train and measure one seed with one share of the training images."""
        first, network = self.runs == 0, self.prepared.network
        if self.settings.tune:
            found = search(self.phases, trial, self.labels["validation"], self.listener)
        else:
            found = TuningResult(self.phases.train(trial))
        self.runs += 1
        trained = found.trained
        if first or self.job.keep_models != "none":
            # The measuring that follows all training needs one model of each backbone.
            save_trained(
                self.folder, trial.key, network.base, self.prepared.head, self.phases.initial
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
        robust = self._robustness(trial)
        # Without what was compiled meanwhile, which counts as compiling.
        robustness_seconds = time.perf_counter() - passes.compile_seconds - begun
        digest = write_arrays(self.folder, trial.key, {**arrays, **found.arrays, **robust})
        seconds = account(
            self.imports,
            self.seconds,
            self.frozen.ledger,
            compile_seconds=self.phases.compile_seconds + passes.compile_seconds,
            train=sum(phase.train_seconds for phase in trained.phases),
            tuning=sum(rate.seconds for rate in found.tried if not rate.chosen),
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
            tuning=found.tried,
            flops=int(2 * np.nan_to_num(count_macs(classifier))),
            memory_bytes=peak_memory(),
            device_memory_bytes=self.prepared.backend.memory_peak(),
            joules=self._joules(),
            accumulation=self.job.accumulation,
            arrays_sha256=digest,
        )

    def _joules(self) -> float | None:
        """Return what the GPU used for this trial: since the one before, or the beginning."""
        if self.joules is None:
            return None
        before, self.counted = self.counted, self.joules()
        return self.counted - before

    def _robustness(self, trial: Trial) -> Mapping[str, Array]:
        """Evaluate on corrupted images where that is asked for and meaningful: not with random
        weights, nor for the smaller shares, which serve learning curves alone."""
        if (
            not self.job.measuring.robustness
            or not self.prepared.weights.pretrained
            or trial.fraction < self.job.largest_fraction
        ):
            return {}
        progress = stage_progress(self.listener, trial, "corrupted test images")
        images = self.images["test"].array()
        return robustness.measure(images, self.labels["test"], self.phases.predict_images, progress)
