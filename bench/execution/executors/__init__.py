"""Executors: where the processes of trials run. One runs a job and passes its events on, a record
of every trial included.

Each is declared in one file of this folder, `EXECUTORS.add(ExecutorKind(...))`, and found by
itself: importing this package registers every executor, and loads nothing before one is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.errors import OutOfMemoryError, UsageError, WorkerDiedError
from bench.registry import Registry, import_modules, lacking
from bench.training.events import Ended, Event, Listener, RecordMade, StageProgress, Waiting, Work
from bench.training.job import Job
from bench.types import Settings


class Executor(ABC):
    """Runs jobs, one after another or several at once."""

    @property
    def slots(self) -> int:
        """Return how many threads may call `run` at once: each job has a device of its own."""
        return 1

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a reader of the figures should know of how the work is done."""
        return ()

    @abstractmethod
    def run(self, job: Job, listener: Listener) -> None:
        """Run one job; raise `WorkerDiedError` where trials were left without a record."""

    def warm_up(self) -> None:  # noqa: B027  (nothing, unless an executor can)
        """Begin to load what the first job needs, while the parent still reads the data."""

    def close(self) -> None:  # noqa: B027
        """End what still runs, for good."""


@dataclass(frozen=True)
class ExecutorKind:
    """An executor as it is declared: nothing of it is loaded before it is made."""

    name: str
    help: str  # a few words, for `--help` and `list`
    make: Callable[[Settings, float | None], Executor]  # and the seconds that a trial may take
    modules: tuple[str, ...] = ()  # that it needs besides the core
    install: str = ""  # what to `pip install` to have them


EXECUTORS: Registry[ExecutorKind] = Registry("executor")


def make_executor(
    settings: Settings, trial_timeout: float | None = None, *, name: str = "local"
) -> Executor:
    """Make the executor of this name; an error that says how to install what it lacks."""
    kind = EXECUTORS[name]
    if text := lacking("executor", kind):
        raise UsageError(text)
    return kind.make(settings, trial_timeout)


def follow(events: Iterable[Event], job: Job, listener: Listener) -> None:
    """Pass the events of a job on to the listener; raise as the last one, `Ended`, says.

    The events may come over a pipe, from a file on a shared disk or from another machine.
    """
    left = {trial.key: trial for trial in job.trials}
    work: Work = "measuring" if job.task == "measure" else "preparing"
    end = Ended(message="the events of the job stopped before its end.")
    for event in events:
        if isinstance(event, Ended):
            end = event
        elif isinstance(event, Waiting):
            trial = next(iter(left.values()), job.trials[0])
            listener(StageProgress(trial, event.text, work=work))
        else:
            if isinstance(event, RecordMade):
                left.pop(event.record.trial.key, None)
            listener(event)
    # A measuring job records each trial several times: the last of it may be missing.
    if left or (job.task == "measure" and end.code != 0):
        raise (OutOfMemoryError if end.out_of_memory else WorkerDiedError)(end.message)


import_modules(__name__)
