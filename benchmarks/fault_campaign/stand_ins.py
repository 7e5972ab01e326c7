"""Training and measuring without a framework: the disk accesses of a worker, in milliseconds.

Predictions depend on every pixel and on the seed, so damaged images cannot give the correct ones.
Everything else is the program's own: the worker and its pipe, the cache, the run's folder.
"""

from __future__ import annotations

import io
import sys
import time
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.data import pixels
from bench.errors import BenchError, failure_reason
from bench.inference.measuring.pending import BUILDING, model_to_explain
from bench.models.backends.base import Array
from bench.storage.arrays import (
    TrainedWeights,
    read_trained,
    weights_path,
    write_arrays,
    write_trained,
)
from bench.storage.cache import Draft, Store
from bench.storage.records import SCHEMA, Evidence, read_run
from bench.system.environment import describe_environment, utc_now
from bench.training.accounting import ImportTime
from bench.training.events import EpochEnded, Listener, RecordMade, RecordMeasured, StageProgress
from bench.training.job import Job
from bench.types import (
    SPLITS,
    Epoch,
    PhaseResult,
    Record,
    RuntimeResult,
    Session,
    Trial,
    WeightsUsed,
)

EPOCH_SECONDS = 0.005
QUERIES = 64
CELLS = 8  # of an image, each way, whose means are its features


def before_imports() -> None:
    """Replace the modules that need a framework by stand-ins in this process."""
    places: dict[str, dict[str, Any]] = {
        "bench.training.trial": {"run_trials": run_trials},
        "bench.inference.measuring.stage": {"measure": measure},
        "bench.inference.measuring.memory": {"IsolatedProcesses": lambda count: None},
    }
    for name, members in places.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        sys.modules[name] = module


def after_imports() -> None:
    """Disable slow steps without importance here: drawing, and measuring this machine."""
    from bench.execution import preparing
    from bench.reports import figures

    vars(preparing)["measure_matrix_rate"] = lambda: 1e11
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "png")
    figures.Picture.png = lambda self: picture.getvalue()  # type: ignore[method-assign]


def run_trials(job: Job, listener: Listener, imports: ImportTime) -> None:
    """Replacement of `bench.training.trial.run_trials`."""
    store = Store(Path(job.store), job.store_limit_bytes)
    try:
        _run_trials(job, listener, imports, store)
    finally:
        store.release()


def _run_trials(job: Job, listener: Listener, imports: ImportTime, store: Store) -> None:
    for trial in job.trials:
        started = utc_now()
        try:
            record = _trial(job, trial, listener, imports, store)
        except Exception as error:
            record = Record(
                SCHEMA, trial, "failed", failure_reason(error), environment=describe_environment()
            )
        record = replace(record, started=started, finished=utc_now(), command=job.command)
        listener(RecordMade(replace(record, split_seed=job.split_seed)))


def measure(job: Job, listener: Listener, alone: object = None) -> None:
    """Replacement of `bench.inference.measuring.stage.measure`."""
    folder, store = Path(job.folder), Store(Path(job.store), job.store_limit_bytes)
    run = read_run(folder)
    asked = {trial.key for trial in job.trials}
    records = [record for record in run.records if record.trial.key in asked]
    # As there: killed in between, a model whose weights are there is still to be measured.
    records.sort(key=lambda record: weights_path(folder, record.trial.key).is_file())
    for record in records:
        listener(StageProgress(record.trial, BUILDING, work="measuring"))
        pixels.get_entry(job.dataset, "test", record.trial.input_size, store).array().sum()
        with store.temporary_folder() as place:
            (place / "converted").write_bytes(bytes(1000))
            time.sleep(EPOCH_SECONDS)
    session = Session(
        started=utc_now(),
        backbones=tuple(record.trial.backbone for record in records),
        threads=1,
        rounds=1,
        matrix_rate=1e9,
        calibration=(0.02, 0.02),
        latency_seconds=job.measuring.latency_seconds,
    )
    timed = RuntimeResult("keras", batches=(1,), session=session)
    for record in records:
        arrays = dict(Evidence(record, run.dataset.classes, folder).arrays)
        milliseconds = 1.0 + 0.1 * len(record.trial.backbone)
        arrays["latency_keras_b1"] = np.full(QUERIES, milliseconds / 1000)
        arrays["warmup_keras_b1"] = np.full(3, milliseconds / 1000)
        digest = write_arrays(folder, record.trial.key, arrays, replaces=record.arrays_sha256)
        new = replace(record, runtimes=(timed,), session=session, arrays_sha256=digest)
        if job.measuring.heatmaps and model_to_explain([new], folder):
            new = replace(new, seconds={**new.seconds, "heatmaps": 0.0})
        listener(RecordMeasured(new))


def _trial(job: Job, trial: Trial, listener: Listener, imports: ImportTime, store: Store) -> Record:
    if job.weights is not None and not Path(job.weights.path).is_file():
        raise BenchError(f"{job.weights.path} is gone")
    answers: dict[str, Array] = {}
    for split in SPLITS:
        listener(StageProgress(trial, f"frozen part, {split}"))
        decoded = pixels.get_entry(job.dataset, split, trial.input_size, store).array()
        features = _features(store, job, trial, split, decoded)
        answers[split] = _answers(features, trial, len(job.dataset.classes))
    epochs = []
    for number in range(1, 4):
        time.sleep(EPOCH_SECONDS)
        epochs.append(Epoch(1 / number, 0.5, 1 / number + trial.seed, 0.5, EPOCH_SECONDS))
        listener(EpochEnded(trial, "head", 3, number, epochs[-1]))
    labels = {split: pixels.labels(job.dataset, split) for split in SPLITS}
    write_trained(Path(job.folder), trial.key, TrainedWeights({}, (answers["train"],)))
    read_trained(Path(job.folder), trial.key)
    arrays = {
        "test_labels": labels["test"],
        "test_probabilities": answers["test"],
        "validation_labels": labels["validation"],
        "validation_probabilities": answers["validation"],
        "phase_test_probabilities": answers["test"][None],
    }
    digest = write_arrays(Path(job.folder), trial.key, arrays)
    found = job.weights
    weights = WeightsUsed(found.source, found.location, "0" * 64) if found else None
    phase = PhaseResult("head", "features", "none", 10, 3, False, tuple(epochs), 0.0, 0.01)
    return Record(
        schema=SCHEMA,
        trial=trial,
        status="ok",
        weights=weights or WeightsUsed("random init", "", "0" * 64),
        parameters=1000,
        size_bytes=4000,
        phases=(phase,),
        seconds={"imports": imports.seconds, "train": 0.01, "total": 0.01, "reused": 0.0},
        environment=describe_environment()
        | {"device": {"kind": "cpu", "name": "stand-in", "memory_bytes": None}},
        train_images=len(labels["train"]),
        flops=2000,
        memory_bytes=1,
        arrays_sha256=digest,
    )


def _features(store: Store, job: Job, trial: Trial, split: Any, pixels: Array) -> Array:
    """As frozen activations are: made once, found again by what they depend on."""
    parts = {
        "backbone": trial.backbone,
        "images": list(job.dataset.splits[split].digests),
        "size": trial.input_size,
    }

    def fill(draft: Draft) -> None:
        cell = pixels.shape[1] // CELLS
        for first in range(0, len(pixels), 8):
            rows = pixels[first : first + 8].astype(np.float32)
            cells = rows.reshape(len(rows), CELLS, cell, CELLS, cell, 3).mean((2, 4))
            draft.append(cells.reshape(len(rows), -1))
            time.sleep(EPOCH_SECONDS / 5)

    room = len(pixels) * CELLS * CELLS * 3 * 4
    entry = store.get_or_create("activations", parts, f"{trial.backbone} {split}", room, fill)
    return np.asarray(entry.array())


def _answers(features: Array, trial: Trial, classes: int) -> Array:
    rng = np.random.default_rng([trial.seed, *trial.backbone.encode()])
    logits = (features.astype(np.float64) / 255 - 0.4) @ rng.normal(
        size=(features.shape[1], classes)
    )
    powers = np.exp(logits - logits.max(1, keepdims=True))
    probabilities: Array = powers / powers.sum(1, keepdims=True)
    return probabilities
