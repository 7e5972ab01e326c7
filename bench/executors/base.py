"""What an executor is: it takes a job and sees to it that every trial of it ends in a record."""

from __future__ import annotations

from typing import Protocol

from bench.errors import BenchError
from bench.job import Job, Listener


class WorkerDiedError(BenchError):
    """The process of a trial ended without a record; the message says how."""


class Executor(Protocol):
    """Runs one job; raises `WorkerDiedError` when trials were left without a record."""

    def run(self, job: Job, listener: Listener) -> None: ...
