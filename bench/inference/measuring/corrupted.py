"""Answers to corrupted images, asked of models that were trained by an earlier command."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bench import data as datasets
from bench.models.backends.base import Array, current
from bench.models.network import probabilities
from bench.models.rebuild import rebuild
from bench.storage.arrays import write_arrays
from bench.storage.cache import Store
from bench.storage.records import Evidence, Run
from bench.training.features import Rows, predict
from bench.training.job import Job
from bench.training.robustness import measure
from bench.types import Record


def ask(
    run: Run, record: Record, job: Job, store: Store, progress: Callable[[int, int], None]
) -> Record:
    """Make the trial's model again from its kept weights and ask it; returns the new record."""
    begun = time.perf_counter()
    backend = current()
    model = rebuild(run, record)
    forward = backend.forward(model.logits(fold=backend.gains_from_folding))

    def answer(rows: Rows) -> Array:
        return probabilities(predict(forward, rows))

    images = datasets.images(job.dataset, "test", record.trial.input_size, store).array()
    labels = np.asarray(job.dataset.splits["test"].labels, dtype=np.int64)
    answers = measure(images, labels, answer, progress)
    arrays = Evidence(record, run.dataset.classes, run.folder).arrays
    digest = write_arrays(
        run.folder, record.trial.key, {**arrays, **answers}, replaces=record.arrays_sha256
    )
    spent = time.perf_counter() - begun
    seconds = {**record.seconds, "robustness": spent}
    seconds["total"] = seconds.get("total", 0.0) + spent
    return replace(record, seconds=seconds, arrays_sha256=digest)
