"""Running a trial again in smaller steps where its memory was not enough.

Each batch is then taken in parts whose gradients are added up before the weights change: the
effective batch stays what it was. A new process begins with a clean memory.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from bench.errors import OutOfMemoryError
from bench.execution.executors.base import Executor
from bench.training.events import Listener, Note
from bench.training.job import Job

RETRIES = 3


def run(
    executor: Executor, job: Job, listener: Listener, finished: Collection[str], *, retry: bool
) -> None:
    """Run the job; where memory was short, what is not `finished` (keys) again in smaller steps."""
    tried = [job.step_images]
    while True:
        try:
            executor.run(job, listener)
        except OutOfMemoryError as error:
            parts = _more_parts(job) if retry and len(tried) <= RETRIES else None
            if parts is None:
                steps = ", ".join(map(str, tried))
                raise OutOfMemoryError(
                    f"{error} Tried with {steps} images a step; a smaller "
                    f"{'--input-size' if tried[-1] == 1 else '--batch-size or --input-size'} "
                    f"takes less."
                ) from error
            left = tuple(trial for trial in job.trials if trial.key not in finished)
            job = replace(job, trials=left, accumulation=parts, shortage=str(error))
            tried.append(job.step_images)
            listener(
                Note(
                    f"{left[0].backbone}: {error} Again with {tried[-1]} images a step, the "
                    f"gradients of {parts} steps added up."
                )
            )
        else:
            return


def _more_parts(job: Job) -> int | None:
    """The least number of equal parts that at least halves the step; none for a single image."""
    batch = job.trials[0].settings.batch_size
    parts = range(2 * job.accumulation, batch + 1)
    return next((n for n in parts if batch % n == 0), None)
