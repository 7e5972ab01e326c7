"""Runs jobs in this very process: for tests and debuggers, not for benchmarks."""

from __future__ import annotations

from bench.training.job import Job, Listener


class Inline:
    """No process of its own: a crash takes everything with it, a debugger sees everything."""

    slots = 1

    def run(self, job: Job, listener: Listener) -> None:
        if job.task == "measure":
            from bench.inference.measuring.stage import measure

            measure(job, listener)
            return
        from bench.training.accounting import Imports
        from bench.training.trial import run_trials

        run_trials(job, listener, Imports())

    def close(self) -> None:
        """Nothing runs outside `run`."""
