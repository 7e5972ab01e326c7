"""Carrying out a plan: what is missing is run, what is there is kept, every trial ends in a record.

The records are the only state. They are replaced as a whole each time one is added, so a run that
is killed at any instant goes on from the last finished trial.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.errors import WorkerDiedError
from bench.execution import retry
from bench.execution.executors.base import Executor
from bench.execution.measure_trials import measure_trials
from bench.execution.plan import Plan, Planned
from bench.execution.remaining import faults, largest_fraction, pending, undone
from bench.execution.request import Request as Request
from bench.execution.run_meta import check_same, describe, now
from bench.models.weights import LocatedWeights
from bench.storage.cache import Store
from bench.storage.records import SCHEMA, newest, read_lines, write_records
from bench.storage.run_folder import held
from bench.storage.trained import keep_best, weights_path
from bench.system.environment import environment
from bench.system.run_parallel import side_by_side
from bench.system.unfinished import sweep
from bench.training.job import Job, Listener
from bench.types import Epoch, KeepModels, Record, Trial


def execute(
    plan: Plan,
    folder: Path,
    request: Request,
    store: Store,
    executor: Executor,
    listener: Listener,
) -> tuple[Record, ...]:
    """Run what is missing of `plan` into `folder`; returns the records of the plan's trials."""
    with opened(plan, folder, request, store):
        return carry_out(plan, folder, request, store, executor, listener)


@contextmanager
def opened(plan: Plan, folder: Path, request: Request, store: Store) -> Iterator[None]:
    """Hold the run's folder for this plan; an error, before anything in it is changed, where
    another process makes the run or it was made with other settings."""
    with held(folder), _swept(folder, store):
        check_same(plan, folder)
        describe(plan, folder, request)
        yield


@contextmanager
def _swept(folder: Path, store: Store) -> Iterator[None]:
    """Remove what killed processes left half written, and then what workers did meanwhile."""
    sweep(folder.parent, below=False)
    sweep(folder)
    store.sweep()
    try:
        yield
    finally:
        with suppress(OSError):  # which must not hide another error
            sweep(folder)
            store.sweep()


def carry_out(
    plan: Plan,
    folder: Path,
    request: Request,
    store: Store,
    executor: Executor,
    listener: Listener,
) -> tuple[Record, ...]:
    """Run what is missing of `plan` into the `opened` folder; returns the plan's records."""
    book = _Book(folder, listener, request.keep_models)
    for fault in faults(plan, folder).values():
        book.note(f"{fault}: its trial is trained again.")
    _run_jobs(plan, folder, request, store, executor, book)
    _measure(plan, folder, request, store, executor, book)
    for text in undone(plan, folder):
        book.note(text)
    if request.keep_models == "none":
        _let_go(folder, book)
    keys = {trial.key for trial in plan.trials}
    return tuple(record for key, record in book.records.items() if key in keys)


@dataclass
class _Book:
    """The run's records; hears the workers, one at a time, writes each record down, passes the rest
    on."""

    folder: Path
    listener: Listener
    keep: KeepModels
    slots: int = 1  # how many workers train at once
    records: dict[str, Record] = field(init=False)
    measured_before: set[str] = field(init=False)  # when this execution began
    heard: set[str] = field(default_factory=set)  # trials with a new record in this execution
    last_stage: tuple[str, str] = ("", "")
    trained: set[str] = field(default_factory=set)  # of them, those that were trained in it
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        lines = read_lines(self.folder)
        self.records = {r.trial.key: r for r in newest(lines)}
        if len(lines) > len(self.records):
            write_records(self.folder, self.records.values())
        self.measured_before = {k for k, r in self.records.items() if r.session is not None}

    def stage(self, trial: Trial, stage: str, done: int = 0, total: int = 0) -> None:
        with self._lock:
            self.last_stage = trial.key, stage
            self.listener.stage(trial, stage, done, total)

    def epoch(self, trial: Trial, phase: str, of: int, number: int, epoch: Epoch) -> None:
        with self._lock:
            self.listener.epoch(trial, phase, of, number, epoch)

    def note(self, text: str) -> None:
        with self._lock:
            self.listener.note(text)

    def record(self, record: Record) -> None:
        with self._lock:
            self._record(record)

    def _record(self, record: Record) -> None:
        trial = record.trial
        if self.slots > 1 and not record.runtimes:
            note = f"trained on one of {self.slots} GPUs, beside other trials on the others"
            record = replace(record, notes=(*record.notes, note))
        self.heard.add(trial.key)
        if record.session is None and not record.runtimes:
            self.trained.add(trial.key)
        # A trial whose weights have changed since has another key: the new one takes its place.
        self.records = {r.trial.key: r for r in newest([*self.records.values(), record])}
        write_records(self.folder, self.records.values())
        if self.keep == "best":
            # Of this execution alone: what an earlier one was asked to keep stays.
            keep_best(self.folder, (self.records[k] for k in self.trained if k in self.records))
        self.listener.record(record)


def _run_jobs(
    plan: Plan, folder: Path, request: Request, store: Store, executor: Executor, book: _Book
) -> None:
    waiting = {trial.key for trial in pending(plan, folder)}

    def train(planned: Planned) -> None:
        while todo := [t for t in planned.trials if t.key in waiting - book.heard]:
            request.restore()
            job = _job(plan, planned.weights, todo, folder, request, store)
            try:
                retry.run(executor, job, book, book.heard, retry=request.retry)
                if any(trial.key not in book.heard for trial in todo):
                    raise WorkerDiedError("the executor ended without a record of this trial.")
            except WorkerDiedError as error:
                # The first without a record is the one that died; those after it never began.
                died = next(trial for trial in todo if trial.key not in book.heard)
                book.record(_failed(died, str(error)))

    found = [p for p in plan.planned if any(trial.key in waiting for trial in p.trials)]
    book.slots = min(executor.slots, len(found)) if len(found) > 1 else 1
    side_by_side(train, found, book.slots, executor.close)


def _measure(
    plan: Plan, folder: Path, request: Request, store: Store, executor: Executor, book: _Book
) -> None:
    """Time all that was trained in one process, so that they can be timed in turns."""

    def measure(todo: Sequence[Trial], died: Mapping[str, Collection[str]]) -> None:
        request.restore()
        job = _job(plan, None, todo, folder, request, store)
        runtimes = {key: tuple(sorted(names)) for key, names in died.items()}
        executor.run(replace(job, task="measure", died=runtimes), book)

    measure_trials(plan, folder, book, measure)


def _let_go(folder: Path, book: _Book) -> None:
    """Delete the weights that were kept only until the models were measured."""
    largest = largest_fraction(book.records)
    for key in book.heard & book.records.keys() - book.measured_before:
        record = book.records[key]
        if record.session is not None or record.trial.fraction < largest:
            weights_path(folder, key).unlink(missing_ok=True)


def _job(
    plan: Plan,
    weights: LocatedWeights | None,
    trials: Sequence[Trial],
    folder: Path,
    request: Request,
    store: Store,
) -> Job:
    return Job(
        trials=tuple(trials),
        protocol=plan.protocol,
        dataset=plan.dataset,
        weights=weights,
        folder=str(folder.resolve()),
        store=str(store.root.resolve()),
        store_limit_bytes=store.limit_bytes,
        plugins=tuple(str(Path(p).resolve()) for p in request.plugins),
        packages=tuple(request.packages),
        command=tuple(request.command),
        split_seed=request.split_seed,
        keep_models=request.keep_models,
        keep_artefacts=request.keep_artefacts,
        measuring=plan.measuring,
    )


def _failed(trial: Trial, reason: str) -> Record:
    at = now()
    return Record(SCHEMA, trial, "failed", reason, at, at, environment=environment())
