"""The trial of a probe: a logistic regression on frozen features, judged on training images alone.

Its record has no phases, and its arrays no test images: `validation_*` are some training images,
each answered by a regression that was fitted without its fold. What the regression is, is in
`probes.py`; what its answers decide, in `bench/analysis/screening.py`.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from bench.data import pixels
from bench.storage.arrays import write_arrays
from bench.storage.cache import Entry, Store
from bench.storage.records import SCHEMA
from bench.system.environment import environment
from bench.training.accounting import Imports, account
from bench.training.events import Listener, StageProgress, stage_progress
from bench.training.features import Frozen
from bench.training.job import Job
from bench.training.prepared import build
from bench.training.probes import cross_validate
from bench.types import Record, SplitName, Trial


def probe(job: Job, trial: Trial, listener: Listener, imports: Imports, store: Store) -> Record:
    """Compute the features of the job's sample and cross-validate on them."""
    listener(StageProgress(trial, "building"))
    prepared = build(job)
    images: dict[SplitName, Entry] = {
        "train": pixels.images(job.dataset, "train", trial.input_size, store)
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
        environment=environment() | {"device": vars(prepared.device)},
        notes=(*frozen.notes, *job.notes),
        train_images=len(labels),
        arrays_sha256=write_arrays(Path(job.folder), trial.key, arrays),
    )
