"""Execute a plan: train the missing trials, then measure the trained models.

The records are the only state: a run that is killed at any time resumes from the last record. Each
trial ends in a record, whatever its process does. After an out-of-memory error, the remaining
trials of the job run again in a new process, with gradient accumulation: each batch is split into
smaller steps whose gradients are added up, so the effective batch size stays the same. When the
measuring process dies, the runtime that it was working on is recorded as failed and the others
continue in a new process.
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
    RemainingWork,
    RunInputs,
    check_compatible,
    largest_fraction,
    untimed_runtimes,
    write_meta,
)
from bench.inference.measuring.pending import BUILDING, PREPARING, TIMING, with_results
from bench.storage.arrays import weights_path
from bench.storage.records import SCHEMA
from bench.storage.run_folder import lock_run, read_meta
from bench.system.command_line import typed_program
from bench.system.environment import describe_environment, utc_now
from bench.system.files import remove_stale
from bench.system.parallel import run_parallel
from bench.training.events import Listener, RecordMade, RecordMeasured
from bench.training.job import Job
from bench.types import Record, RuntimeResult

RETRIES = 3
RESUBMISSIONS = 2  # of a job whose node was lost


@contextmanager
def open_run(inputs: RunInputs, *, locked: bool = False) -> Iterator[RemainingWork]:
    """Lock the run's folder, write `run.json` and yield the work that remains.

    `locked`: the caller holds the lock already. An error is raised, before anything is changed, if
    another process holds the lock or the folder's run has other settings.
    """
    plan, folder, store = inputs.plan, inputs.folder, inputs.store

    def remove_unfinished() -> None:
        """Remove files that killed processes left half written."""
        remove_stale(folder)
        store.remove_stale()

    with nullcontext() if locked else lock_run(folder):
        remove_stale(folder.parent, recursive=False)
        remove_unfinished()
        try:
            check_compatible(plan, folder)
            remaining = RemainingWork.read(plan, folder)
            write_meta(inputs, remaining)
            yield remaining
        finally:
            with suppress(OSError):  # must not hide the error that ended the run
                remove_unfinished()


def execute_plan(
    inputs: RunInputs, remaining: RemainingWork, executor: Executor, listener: Listener
) -> RemainingWork:
    """Train and measure what remains of the plan; return what then still remains.

    The caller has opened the run's folder with `open_run`.
    """
    plan, folder, request = inputs.plan, inputs.folder, inputs.request
    unmeasured = {trial.name for trial in remaining.unmeasured()}
    schedule = make_schedule(plan, remaining.untrained, unmeasured)
    intact = (r for key, r in remaining.records.items() if key not in remaining.damaged)
    progress = ProgressTracker(plan, folder, schedule, listener, kept=intact)
    recorder = RunRecorder(folder, progress, request.keep_models)
    for fault in remaining.damaged.values():
        recorder.note(f"{fault}: the trial is trained again.")
    with closing(recorder):
        train_trials(inputs, schedule.trials, executor, recorder)
        measure_trials(inputs, executor, recorder)
    left = RemainingWork(plan, folder, recorder.records)
    for text in left.describe_unmeasurable():
        recorder.note(text)
    if request.keep_models == "none":
        _delete_weights(folder, recorder.records)
    return left


def _delete_weights(folder: Path, records: Mapping[str, Record]) -> None:
    """Delete trained weights that were stored only until the models were measured.

    Weights that an earlier command kept for good are not deleted.
    """
    largest, kept = largest_fraction(records), read_meta(folder).kept_weights
    for key, record in records.items():
        measured = record.session is not None or record.trial.fraction < largest
        if measured and key not in kept:
            weights_path(folder, key).unlink(missing_ok=True)


def train_trials(
    inputs: RunInputs, missing: Mapping[str, float], executor: Executor, recorder: RunRecorder
) -> None:
    """Train the `missing` trials (estimated seconds by trial key), one job for each free device.

    `DetachedError`: jobs continue on the cluster without this process.
    """
    parts = _divide_into_jobs(inputs.plan, missing, executor.capacity)
    slots = min(executor.slots, len(parts)) if len(parts) > 1 else 1

    def train(planned: PlannedBackbone) -> None:
        accumulation, memory_error = 1, ""
        step_sizes, node_errors = list[int](), list[str]()  # of the attempts at the same trial
        while todo := [t for t in planned.trials if t.key not in recorder.recorded]:
            inputs.restore()
            job = inputs.job(
                todo,
                planned.weights,
                slots=slots,
                accumulation=accumulation,
                shortage=memory_error,
                lost=tuple(node_errors),
                estimated_seconds=sum(planned.seconds(todo).values()),
            )
            step_sizes.append(job.step_images)
            try:
                executor.run(job, recorder)
                reason = "the executor ended without a record of this trial."
            except OutOfMemoryError as error:
                job = replace(job, accumulation=max(job.accumulation, error.parts))
                retry = inputs.request.retry and len(step_sizes) <= RETRIES
                if retry and (more := _next_accumulation(job)):
                    accumulation, memory_error = more, str(error)
                    recorder.note(
                        f"{planned.name}: {error} Trying again with "
                        f"{job.batch_size // accumulation} images per step, accumulating the "
                        f"gradients of {accumulation} steps."
                    )
                    continue
                smaller = "--input-size" if step_sizes[-1] == 1 else "--batch-size or --input-size"
                reason = (
                    f"{error} Tried with {', '.join(map(str, step_sizes))} images per step; a "
                    f"smaller {smaller} needs less memory."
                )
            except NodeLostError as error:
                node_errors.append(str(error))
                if len(node_errors) <= RESUBMISSIONS:
                    step_sizes.pop()
                    recorder.note(f"{planned.name}: {error} Submitting the remaining trials again.")
                    continue
                reason = f"{error} Submitted {len(node_errors)} times."
            except WorkerDiedError as error:
                reason = str(error)
            except DetachedError:
                return
            # The first trial without a record is the one that died; those after it never started.
            for died in [trial for trial in todo if trial.key not in recorder.recorded][:1]:
                at = utc_now()
                record = Record(
                    SCHEMA, died, "failed", reason, at, at, environment=describe_environment()
                )
                recorder(RecordMade(record))
            accumulation, memory_error, step_sizes, node_errors = 1, "", [], []

    run_parallel(train, parts, slots, executor.close)
    if left := missing.keys() - recorder.recorded:
        raise DetachedError(
            f"{len(left)} trials continue on the cluster; `{typed_program()} status "
            f"{inputs.folder}` shows their progress, and the same command collects the results."
        )


def _divide_into_jobs(
    plan: Plan, missing: Mapping[str, float], capacity: int
) -> list[PlannedBackbone]:
    """Group the missing trials into jobs, one for each backbone or several.

    Trials of a backbone share the frozen features, so they form one job. While there are fewer
    jobs than `capacity`, the longest is split further.
    """
    whole = [
        replace(planned, trials=left)
        for planned in plan.planned
        if (left := tuple(trial for trial in planned.trials if trial.key in missing))
    ]
    seconds = [sum(missing[trial.key] for trial in planned.trials) for planned in whole]
    most, parts = [len(planned.trials) for planned in whole], [1] * len(whole)
    for _ in range(min(capacity, sum(most)) - len(whole)):
        longest = max(
            (job for job in range(len(whole)) if parts[job] < most[job]),
            key=lambda job: seconds[job] / parts[job],
        )
        parts[longest] += 1
    # Trials are dealt out in turn: the smaller fractions come last and are spread over all parts.
    return [
        replace(planned, trials=planned.trials[part::count])
        for planned, count in zip(whole, parts, strict=True)
        for part in range(count)
    ]


def _next_accumulation(job: Job) -> int | None:
    """Return the smallest number of equal steps per batch that at least halves the step size.

    None: a step is a single image already.
    """
    steps = range(2 * job.accumulation, job.batch_size + 1)
    return next((n for n in steps if job.batch_size % n == 0), None)


def measure_trials(inputs: RunInputs, executor: Executor, recorder: RunRecorder) -> None:
    """Measure all unmeasured models in one job, which times them in alternation.

    A runtime that killed the process is recorded as failed and left out of the next attempt.
    """
    plan = inputs.plan
    todo = RemainingWork(plan, inputs.folder, recorder.records).unmeasured()
    died: dict[str, set[str]] = {trial.key: set() for trial in todo}
    losses = 0

    def left(key: str) -> list[str]:
        names = untimed_runtimes(plan, recorder.records[key])
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
            losses += 1
            if losses > RESUBMISSIONS:
                recorder.note(f"Measuring ended: {error} Run the same command to try again.")
                return
            recorder.note(f"Measuring is submitted again: {error}")
        except WorkerDiedError as error:
            recorder.note(f"Measuring ended early: {error}")
            for key, names in _runtimes_to_blame(recorder, {k: left(k) for k in died}).items():
                record = recorder.records[key]
                failed = [RuntimeResult(n, status="failed", reason=str(error)) for n in names]
                results = with_results(record, failed)
                recorder(RecordMeasured(replace(record, runtimes=results)))
                died[key] |= set(names)
            todo = [trial for trial in todo if left(trial.key)]


def _runtimes_to_blame(
    recorder: RunRecorder, left: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """Return, by trial key, the runtimes that may have killed the measuring process.

    `left` has the runtimes still to be timed. The last stage before the death tells whether one
    backbone or all were involved; if it tells nothing, all of `left` is to blame.
    """
    last_key, stage = recorder.last_stage
    last = recorder.records.get(last_key)
    runtime = stage.removeprefix(PREPARING).removeprefix(TIMING)
    one_backbone = stage == BUILDING or stage.startswith(PREPARING)
    blamed: dict[str, Sequence[str]] = {}
    for key, names in left.items():
        same = last is not None and recorder.records[key].trial.name == last.trial.name
        if same or not one_backbone:
            hit = names if stage == BUILDING else [name for name in names if name == runtime]
            blamed |= {key: hit} if hit else {}
    return blamed or {key: names for key, names in left.items() if names}
