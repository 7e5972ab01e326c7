"""What an executor is: it takes a job and sees to it that every trial of it ends in a record."""

from __future__ import annotations

from typing import Protocol

from bench.training.job import Job, Listener


class Executor(Protocol):
    """Runs one job; raises `WorkerDiedError` when trials were left without a record.

    `run` may be called from as many threads at once as there are `slots`, each of which has a
    device of its own. `close` ends what still runs, for good.
    """

    @property
    def slots(self) -> int: ...

    def run(self, job: Job, listener: Listener) -> None: ...

    def close(self) -> None: ...
