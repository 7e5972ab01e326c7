"""Carrying out a plan: what is missing is run, and what is there is kept.

The records are the only state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.execution.executors import Executor
from bench.execution.measure_trials import measure_trials
from bench.execution.progress import Progress
from bench.execution.recorder import RunRecorder
from bench.execution.remaining import (
    faults,
    kept_records,
    largest_fraction,
    pending,
    undone,
    unmeasured,
)
from bench.execution.run_meta import RunInputs, check_same, describe
from bench.execution.schedule import make_schedule
from bench.execution.train_trials import train_trials
from bench.storage.arrays import weights_path
from bench.storage.cache import Store
from bench.storage.run_folder import lock_run
from bench.system.files import remove_stale
from bench.training.events import Listener
from bench.types import Record


@contextmanager
def opened(inputs: RunInputs) -> Iterator[None]:
    """Lock the run's folder and describe the run in it; an error, before anything is changed, where
    another process makes the run or it was made with other settings."""
    with lock_run(inputs.folder), _without_stale_files(inputs.folder, inputs.store):
        check_same(inputs.plan, inputs.folder)
        describe(inputs)
        yield


@contextmanager
def _without_stale_files(folder: Path, store: Store) -> Iterator[None]:
    """Remove what killed processes left half written; at the end, what this run's workers left."""
    remove_stale(folder.parent, below=False)
    remove_stale(folder)
    store.remove_stale()
    try:
        yield
    finally:
        with suppress(OSError):  # which must not hide another error
            remove_stale(folder)
            store.remove_stale()


def carry_out(inputs: RunInputs, executor: Executor, listener: Listener) -> tuple[Record, ...]:
    """Run what is missing of the plan into the `opened` folder; returns the plan's records."""
    plan, folder, request = inputs.plan, inputs.folder, inputs.request
    damaged = faults(plan, folder)
    missing = pending(plan, folder, damaged)
    kept = kept_records(plan, folder, damaged)
    trained = {trial.backbone for trial in unmeasured(plan, folder, kept)}
    progress = Progress(plan, folder, make_schedule(plan, missing, trained), listener)
    recorder = RunRecorder(folder, progress, request.keep_models)
    for fault in damaged.values():
        recorder.note(f"{fault}: its trial is trained again.")
    train_trials(inputs, {trial.key for trial in missing}, executor, recorder)
    measure_trials(inputs, executor, recorder)
    for text in undone(plan, folder, {}):  # all arrays were checked above, or written since
        recorder.note(text)
    if request.keep_models == "none":
        _delete_weights(folder, recorder)
    keys = {trial.key for trial in plan.trials}
    return tuple(record for key, record in recorder.records.items() if key in keys)


def _delete_weights(folder: Path, recorder: RunRecorder) -> None:
    """Delete the weights that were kept only until the models were measured."""
    largest = largest_fraction(recorder.records)
    for key in recorder.recorded & recorder.records.keys() - recorder.measured_before:
        record = recorder.records[key]
        if record.session is not None or record.trial.fraction < largest:
            weights_path(folder, key).unlink(missing_ok=True)
