"""Training the trials that a run lacks: each ends in a record, whatever its process does.

Where memory was short, what is left of a job is run again in smaller steps, in a new process. Each
batch is then taken in parts whose gradients are added up before the weights change: the effective
batch stays what it was.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from bench.errors import OutOfMemoryError, WorkerDiedError
from bench.execution.executors import Executor
from bench.execution.plan import PlannedBackbone
from bench.execution.recorder import RunRecorder
from bench.execution.run_meta import RunInputs
from bench.storage.records import SCHEMA
from bench.system.environment import environment, utc_now
from bench.system.parallel import run_parallel
from bench.training.events import RecordMade
from bench.training.job import Job
from bench.types import Record

RETRIES = 3


def train_trials(
    inputs: RunInputs, missing: AbstractSet[str], executor: Executor, recorder: RunRecorder
) -> None:
    """Train the trials with these keys, those of a backbone in one job; as many jobs at once as
    there are devices."""
    found = [p for p in inputs.plan.planned if any(trial.key in missing for trial in p.trials)]
    slots = min(executor.slots, len(found)) if len(found) > 1 else 1

    def train(planned: PlannedBackbone) -> None:
        parts, shortage, tried = 1, "", list[int]()
        while todo := [t for t in planned.trials if t.key in missing - recorder.recorded]:
            inputs.restore()
            job = inputs.job(
                todo, planned.weights, slots=slots, accumulation=parts, shortage=shortage
            )
            tried.append(job.step_images)
            try:
                executor.run(job, recorder)
                reason = "the executor ended without a record of this trial."
            except OutOfMemoryError as error:
                more = _more_parts(job) if inputs.request.retry and len(tried) <= RETRIES else None
                if more is not None:
                    parts, shortage = more, str(error)
                    recorder.note(
                        f"{planned.backbone}: {error} Again with {job.batch_size // parts} images "
                        f"a step, the gradients of {parts} steps added up."
                    )
                    continue
                smaller = "--input-size" if tried[-1] == 1 else "--batch-size or --input-size"
                reason = (
                    f"{error} Tried with {', '.join(map(str, tried))} images a step; a smaller "
                    f"{smaller} takes less."
                )
            except WorkerDiedError as error:
                reason = str(error)
            # The first without a record is the one that died; those after it never began.
            for died in [trial for trial in todo if trial.key not in recorder.recorded][:1]:
                at = utc_now()
                record = Record(SCHEMA, died, "failed", reason, at, at, environment=environment())
                recorder(RecordMade(record))
            parts, shortage, tried = 1, "", []

    run_parallel(train, found, slots, executor.close)


def _more_parts(job: Job) -> int | None:
    """Return the least number of equal parts that at least halves the step; none for one image."""
    parts = range(2 * job.accumulation, job.batch_size + 1)
    return next((n for n in parts if job.batch_size % n == 0), None)
