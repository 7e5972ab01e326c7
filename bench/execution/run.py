"""Carrying out a plan: what is missing is run, what is there is kept, every trial ends in a record.

The records are the only state.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from bench.errors import WorkerDiedError
from bench.execution import retry
from bench.execution.executors.base import Executor
from bench.execution.measure_trials import measure_trials
from bench.execution.plan import Planned
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
from bench.execution.run_meta import RunInputs, check_same, describe, now
from bench.execution.schedule import make_schedule
from bench.models.weights import LocatedWeights
from bench.storage.cache import Store
from bench.storage.records import SCHEMA
from bench.storage.run_folder import lock_run
from bench.storage.trained import weights_path
from bench.system.environment import environment
from bench.system.files import remove_stale
from bench.system.parallel import run_parallel
from bench.training.events import Listener, RecordMade
from bench.training.job import Job
from bench.types import Record, Trial


def execute(inputs: RunInputs, executor: Executor, listener: Listener) -> tuple[Record, ...]:
    """Run what is missing of the plan; returns the records of the plan's trials."""
    with opened(inputs):
        return carry_out(inputs, executor, listener)


@contextmanager
def opened(inputs: RunInputs) -> Iterator[None]:
    """Hold the run's folder for this plan; an error, before anything in it is changed, where
    another process makes the run or it was made with other settings."""
    with lock_run(inputs.folder), _without_stale_files(inputs.folder, inputs.store):
        check_same(inputs.plan, inputs.folder)
        describe(inputs)
        yield


@contextmanager
def _without_stale_files(folder: Path, store: Store) -> Iterator[None]:
    """Remove what killed processes left half written, and then what workers did meanwhile."""
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
    waiting = pending(plan, folder)
    trained = {t.backbone for t in unmeasured(plan, folder, kept_records(plan, folder))}
    progress = Progress(plan, folder, make_schedule(plan, waiting, trained), listener)
    recorder = RunRecorder(folder, progress, request.keep_models)
    for fault in faults(plan, folder).values():
        recorder.note(f"{fault}: its trial is trained again.")
    _run_jobs(inputs, waiting, executor, recorder)
    _measure(inputs, executor, recorder)
    for text in undone(plan, folder):
        recorder.note(text)
    if request.keep_models == "none":
        _let_go(folder, recorder)
    keys = {trial.key for trial in plan.trials}
    return tuple(record for key, record in recorder.records.items() if key in keys)


def _run_jobs(
    inputs: RunInputs, missing: Sequence[Trial], executor: Executor, recorder: RunRecorder
) -> None:
    waiting = {trial.key for trial in missing}
    found = [p for p in inputs.plan.planned if any(trial.key in waiting for trial in p.trials)]
    slots = min(executor.slots, len(found)) if len(found) > 1 else 1

    def train(planned: Planned) -> None:
        while todo := [t for t in planned.trials if t.key in waiting - recorder.recorded]:
            inputs.restore()
            job = replace(_job(inputs, planned.weights, todo), slots=slots)
            try:
                retry.run(executor, job, recorder, recorder.recorded, retry=inputs.request.retry)
                if any(trial.key not in recorder.recorded for trial in todo):
                    raise WorkerDiedError("the executor ended without a record of this trial.")
            except WorkerDiedError as error:
                # The first without a record is the one that died; those after it never began.
                died = next(trial for trial in todo if trial.key not in recorder.recorded)
                recorder(RecordMade(_failed(died, str(error))))

    run_parallel(train, found, slots, executor.close)


def _measure(inputs: RunInputs, executor: Executor, recorder: RunRecorder) -> None:
    """Time all that was trained in one process, so that they can be timed in turns."""

    def measure(todo: Sequence[Trial], died: Mapping[str, Collection[str]]) -> None:
        inputs.restore()
        job = _job(inputs, None, todo)
        runtimes = {key: tuple(sorted(names)) for key, names in died.items()}
        executor.run(replace(job, task="measure", died=runtimes), recorder)

    measure_trials(inputs.plan, inputs.folder, recorder, measure)


def _let_go(folder: Path, recorder: RunRecorder) -> None:
    """Delete the weights that were kept only until the models were measured."""
    largest = largest_fraction(recorder.records)
    for key in recorder.recorded & recorder.records.keys() - recorder.measured_before:
        record = recorder.records[key]
        if record.session is not None or record.trial.fraction < largest:
            weights_path(folder, key).unlink(missing_ok=True)


def _job(inputs: RunInputs, weights: LocatedWeights | None, trials: Sequence[Trial]) -> Job:
    plan, request, store = inputs.plan, inputs.request, inputs.store
    return Job(
        trials=tuple(trials),
        protocol=plan.protocol,
        dataset=plan.dataset,
        weights=weights,
        folder=str(inputs.folder.resolve()),
        store=str(store.root.resolve()),
        store_limit_bytes=store.limit_bytes,
        plugins=tuple(str(path.resolve()) for path in request.plugins),
        packages=request.packages,
        command=request.command,
        split_seed=request.split_seed,
        keep_models=request.keep_models,
        keep_artefacts=request.keep_artefacts,
        measuring=plan.measuring,
    )


def _failed(trial: Trial, reason: str) -> Record:
    at = now()
    return Record(SCHEMA, trial, "failed", reason, at, at, environment=environment())
