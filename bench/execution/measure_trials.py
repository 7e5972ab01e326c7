"""Measuring all that a plan has trained, however often the measuring process dies.

What was under way when it died is recorded as failed, with the reason, and the rest continues in a
new process: a model that takes all memory in one runtime costs the others no figure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from bench.errors import WorkerDiedError
from bench.execution.executors import Executor
from bench.execution.plan import Plan
from bench.execution.recorder import RunRecorder
from bench.execution.remaining import runtimes_of, unmeasured
from bench.execution.run_meta import RunInputs
from bench.inference.measuring.pending import BUILDING, PREPARING, TIMING, with_results
from bench.training.events import RecordMeasured
from bench.types import RuntimeResult


def measure_trials(inputs: RunInputs, executor: Executor, recorder: RunRecorder) -> None:
    """Measure all that was trained and is not measured in one job, so that models are timed in
    turns; leave out runtimes that killed a process."""
    plan = inputs.plan
    todo = unmeasured(plan, inputs.folder, recorder.records)
    died: dict[str, set[str]] = {trial.key: set() for trial in todo}
    while todo:
        inputs.restore()
        runtimes = {key: tuple(sorted(names)) for key, names in died.items()}
        try:
            executor.run(inputs.job(todo, task="measure", died=runtimes), recorder)
            return
        except WorkerDiedError as error:
            recorder.note(f"Measuring ended early: {error}")
            left = {key: _left(plan, recorder, key, died[key]) for key in died}
            for key, names in _blamed(plan, recorder, left).items():
                record = recorder.records[key]
                failed = [RuntimeResult(n, status="failed", reason=str(error)) for n in names]
                results = with_results(record, failed)
                recorder(RecordMeasured(replace(record, runtimes=results)))
                died[key] |= set(names)
            todo = [t for t in todo if _left(plan, recorder, t.key, died[t.key])]


def _left(plan: Plan, recorder: RunRecorder, key: str, died: Collection[str]) -> list[str]:
    return [name for name in runtimes_of(plan, recorder.records[key]) if name not in died]


def _blamed(
    plan: Plan, recorder: RunRecorder, left: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """Return the runtimes to blame, by trial: of one backbone, of all, or all that are left."""
    key, stage = recorder.last_stage
    runtime = stage.removeprefix(PREPARING).removeprefix(TIMING)
    of_one = stage == BUILDING or stage.startswith(PREPARING)
    blamed: dict[str, Sequence[str]] = {}
    for other, names in left.items():
        trial, one = recorder.records[other].trial, recorder.records.get(key)
        same = one is not None and trial.backbone == one.trial.backbone
        if same or not of_one:
            hit = names if stage == BUILDING else [name for name in names if name == runtime]
            blamed |= {other: hit} if hit else {}
    return blamed or {other: names for other, names in left.items() if names}
