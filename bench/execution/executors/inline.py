"""Run jobs in the current process, for tests and debuggers, not for benchmarks."""

from __future__ import annotations

from bench.execution.executors import EXECUTORS, Executor, ExecutorKind
from bench.models.backends.base import start_backend
from bench.training.events import Listener
from bench.training.job import Job


class Inline(Executor):
    """Runs jobs in the current process: a crash ends the run, a debugger sees everything."""

    def run(self, job: Job, listener: Listener) -> None:
        start_backend()
        if job.task == "measure":
            from bench.inference.measuring.stage import measure

            measure(job, listener)
            return
        from bench.training.accounting import ImportTime
        from bench.training.trial import run_trials

        run_trials(job, listener, ImportTime())


EXECUTORS.add(
    ExecutorKind(
        "inline",
        "in this process, for debuggers: a crash ends the run",
        lambda settings, request: Inline(),
    )
)
