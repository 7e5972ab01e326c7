"""Carrying out a plan: what is missing is trained, then measured, and what is there is kept.

The records are the only state: a run that is killed at any instant goes on from the last one. Each
trial ends in a record, whatever its process does. Where memory was short, what is left of a job is
run again in smaller steps, in a new process: each batch is taken in parts whose gradients are added
up before the weights change, so the effective batch stays what it was. Where the measuring process
dies, what was under way is recorded as failed, and the rest continues in a new one: a model that
takes all memory in one runtime costs the others no figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from bench.errors import DetachedError, NodeLostError, OutOfMemoryError, WorkerDiedError
from bench.execution.executors import Executor
from bench.execution.plan import Plan, PlannedBackbone
from bench.execution.progress import ProgressTracker, make_schedule
from bench.execution.recorder import RunRecorder
from bench.execution.run_meta import (
    Remaining,
    RunInputs,
    check_same,
    describe,
    largest_fraction,
    runtimes_of,
)
from bench.inference.measuring.pending import BUILDING, PREPARING, TIMING, with_results
from bench.storage.arrays import weights_path
from bench.storage.records import SCHEMA
from bench.storage.run_folder import lock_run, read_meta
from bench.system.command_line import program
from bench.system.environment import environment, utc_now
from bench.system.files import remove_stale
from bench.system.parallel import run_parallel
from bench.training.events import Listener, RecordMade, RecordMeasured
from bench.training.job import Job
from bench.types import Record, RuntimeResult

RETRIES = 3
RESUBMISSIONS = 2  # of a job whose machine was lost


@contextmanager
def opened(inputs: RunInputs, *, locked: bool = False) -> Iterator[Remaining]:
    """Lock the run's folder, unless the caller has, describe the run in it, and yield what remains
    to be done; an error, before anything is changed, where another process makes the run or it was
    made with other settings."""
    plan, folder, store = inputs.plan, inputs.folder, inputs.store

    def remove_unfinished() -> None:
        """Remove what killed processes left half written."""
        remove_stale(folder)
        store.remove_stale()

    with nullcontext() if locked else lock_run(folder):
        remove_stale(folder.parent, below=False)
        remove_unfinished()
        try:
            check_same(plan, folder)
            remaining = Remaining.read(plan, folder)
            describe(inputs, remaining)
            yield remaining
        finally:
            with suppress(OSError):  # which must not hide another error
                remove_unfinished()


def carry_out(
    inputs: RunInputs, remaining: Remaining, executor: Executor, listener: Listener
) -> Remaining:
    """Do what remains to be done of the plan in the `opened` folder; return what then remains."""
    plan, folder, request = inputs.plan, inputs.folder, inputs.request
    trained = {trial.name for trial in remaining.unmeasured()}
    schedule = make_schedule(plan, remaining.waiting, trained)
    intact = (r for key, r in remaining.records.items() if key not in remaining.damaged)
    progress = ProgressTracker(plan, folder, schedule, listener, kept=intact)
    recorder = RunRecorder(folder, progress, request.keep_models)
    for fault in remaining.damaged.values():
        recorder.note(f"{fault}: its trial is trained again.")
    with closing(recorder):
        train_trials(inputs, schedule.trials, executor, recorder)
        measure_trials(inputs, executor, recorder)
    ended = Remaining(plan, folder, recorder.records)
    for text in ended.undone():
        recorder.note(text)
    if request.keep_models == "none":
        _delete_weights(folder, recorder.records)
    return ended


def _delete_weights(folder: Path, records: Mapping[str, Record]) -> None:
    """Delete the weights that were kept only until the models were measured, by this command or by
    one that was interrupted."""
    largest, kept = largest_fraction(records), read_meta(folder).kept_weights
    for key, record in records.items():
        measured = record.session is not None or record.trial.fraction < largest
        if measured and key not in kept:
            weights_path(folder, key).unlink(missing_ok=True)


def train_trials(
    inputs: RunInputs, missing: Mapping[str, float], executor: Executor, recorder: RunRecorder
) -> None:
    """Train the trials with these keys, and estimated seconds; as many jobs at once as there are
    devices. `DetachedError` where jobs are left to go on without this process."""
    found = _jobs(inputs.plan, missing, executor.capacity)
    slots = min(executor.slots, len(found)) if len(found) > 1 else 1

    def train(planned: PlannedBackbone) -> None:
        parts, shortage, tried, lost = 1, "", list[int](), list[str]()
        while todo := [t for t in planned.trials if t.key not in recorder.recorded]:
            inputs.restore()
            job = inputs.job(
                todo,
                planned.weights,
                slots=slots,
                accumulation=parts,
                shortage=shortage,
                lost=tuple(lost),
                estimated_seconds=sum(planned.seconds(todo).values()),
            )
            tried.append(job.step_images)
            try:
                executor.run(job, recorder)
                reason = "the executor ended without a record of this trial."
            except OutOfMemoryError as error:
                job = replace(job, accumulation=max(job.accumulation, error.parts))
                more = _more_parts(job) if inputs.request.retry and len(tried) <= RETRIES else None
                if more is not None:
                    parts, shortage = more, str(error)
                    recorder.note(
                        f"{planned.name}: {error} Again with {job.batch_size // parts} images "
                        f"a step, the gradients of {parts} steps added up."
                    )
                    continue
                smaller = "--input-size" if tried[-1] == 1 else "--batch-size or --input-size"
                reason = (
                    f"{error} Tried with {', '.join(map(str, tried))} images a step; a smaller "
                    f"{smaller} takes less."
                )
            except NodeLostError as error:
                lost.append(str(error))
                if len(lost) <= RESUBMISSIONS:
                    tried.pop()
                    recorder.note(f"{planned.name}: {error} What is left is submitted again.")
                    continue
                reason = f"{error} Submitted {len(lost)} times."
            except WorkerDiedError as error:
                reason = str(error)
            except DetachedError:
                return
            # The first without a record is the one that died; those after it never began.
            for died in [trial for trial in todo if trial.key not in recorder.recorded][:1]:
                at = utc_now()
                record = Record(SCHEMA, died, "failed", reason, at, at, environment=environment())
                recorder(RecordMade(record))
            parts, shortage, tried, lost = 1, "", [], []

    run_parallel(train, found, slots, executor.close)
    if left := missing.keys() - recorder.recorded:
        raise DetachedError(
            f"{len(left)} trials are left to the cluster's jobs; `{program()} status "
            f"{inputs.folder}` shows how far they are, and the same command takes in what is done."
        )


def _jobs(plan: Plan, missing: Mapping[str, float], capacity: int) -> list[PlannedBackbone]:
    """Return the missing trials, those of a backbone in one job, since they share the frozen
    activations. Where machines would stay idle, the longest job is divided, again and again."""
    found = [
        replace(planned, trials=left)
        for planned in plan.planned
        if (left := tuple(trial for trial in planned.trials if trial.key in missing))
    ]
    seconds = [sum(missing[trial.key] for trial in planned.trials) for planned in found]
    most, parts = [len(planned.trials) for planned in found], [1] * len(found)
    for _ in range(min(capacity, sum(most)) - len(found)):
        longest = max(
            (job for job in range(len(found)) if parts[job] < most[job]),
            key=lambda job: seconds[job] / parts[job],
        )
        parts[longest] += 1
    # In turns, so that each part has its share of the smaller fractions, which come last.
    return [
        replace(planned, trials=planned.trials[part::count])
        for planned, count in zip(found, parts, strict=True)
        for part in range(count)
    ]


def _more_parts(job: Job) -> int | None:
    """Return the least number of equal parts that at least halves the step; none for one image."""
    parts = range(2 * job.accumulation, job.batch_size + 1)
    return next((n for n in parts if job.batch_size % n == 0), None)


def measure_trials(inputs: RunInputs, executor: Executor, recorder: RunRecorder) -> None:
    """Measure all that was trained and is not measured in one job, so that models are timed in
    turns; leave out runtimes that killed a process."""
    plan = inputs.plan
    todo = Remaining(plan, inputs.folder, recorder.records).unmeasured()
    died: dict[str, set[str]] = {trial.key: set() for trial in todo}
    lost = 0

    def left(key: str) -> list[str]:
        names = runtimes_of(plan, recorder.records[key])
        return [name for name in names if name not in died[key]]

    while todo:
        inputs.restore()
        runtimes = {key: tuple(sorted(names)) for key, names in died.items()}
        rows = {trial.name for trial in todo}
        pretrained = {
            one.name: one.weights for one in plan.planned if one.weights and one.name in rows
        }
        try:
            job = inputs.job(todo, task="measure", died=runtimes, pretrained=pretrained)
            executor.run(job, recorder)
            return
        except NodeLostError as error:
            lost += 1
            if lost > RESUBMISSIONS:
                recorder.note(f"Measuring ended: {error} The same command tries again.")
                return
            recorder.note(f"Measuring is submitted again: {error}")
        except WorkerDiedError as error:
            recorder.note(f"Measuring ended early: {error}")
            for key, names in _blamed(recorder, {key: left(key) for key in died}).items():
                record = recorder.records[key]
                failed = [RuntimeResult(n, status="failed", reason=str(error)) for n in names]
                results = with_results(record, failed)
                recorder(RecordMeasured(replace(record, runtimes=results)))
                died[key] |= set(names)
            todo = [trial for trial in todo if left(trial.key)]


def _blamed(recorder: RunRecorder, left: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return the runtimes to blame, by trial: of one backbone, of all, or all that are left."""
    key, stage = recorder.last_stage
    runtime = stage.removeprefix(PREPARING).removeprefix(TIMING)
    of_one = stage == BUILDING or stage.startswith(PREPARING)
    blamed: dict[str, Sequence[str]] = {}
    for other, names in left.items():
        trial, one = recorder.records[other].trial, recorder.records.get(key)
        same = one is not None and trial.name == one.trial.name
        if same or not of_one:
            hit = names if stage == BUILDING else [name for name in names if name == runtime]
            blamed |= {other: hit} if hit else {}
    return blamed or {other: names for other, names in left.items() if names}
