"""Executors: where the processes of trials run. One runs a job and passes its events on, a record
of every trial included.

Each is declared in one file of this folder, `EXECUTORS.add(ExecutorKind(...))`, and found by
itself: importing this package registers every executor, and loads nothing before one is made.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.errors import NodeLostError, OutOfMemoryError, UsageError, WorkerDiedError
from bench.execution.request import RunRequest
from bench.registry import Registry, import_modules, require
from bench.training.events import Ended, Event, Listener, RecordMade, StageProgress, Waiting, Work
from bench.training.job import Job
from bench.types import Settings

MAX_JOBS = 1000  # submitted to a cluster at once, a thread each; nodes that join late find work


class Executor(ABC):
    """Runs jobs, one after another or several at once."""

    @property
    def slots(self) -> int:
        """Return how many threads may call `run` at once: each job has a device of its own."""
        return 1

    @property
    def capacity(self) -> int:
        """Return how many jobs machines that share no work run side by side, as far as is known:
        where there are more than backbones, the trials of a backbone are divided among them."""
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
class Resources:
    """What a cluster grants each job."""

    cpus: int = 0  # 0: as many as `--threads` says, otherwise one
    gpus: float = 0.0  # a half: two jobs share one

    def __str__(self) -> str:
        return f"cpus={self.cpus},gpus={self.gpus:g}"

    @classmethod
    def parse(cls, text: str) -> Resources:
        """Read what `--per-trial` was given: `cpus=4,gpus=0.5`, or one of them."""
        found = {"cpus": 0.0, "gpus": 0.0}
        try:
            parts = [part.split("=") for part in text.split(",")] if text else []
            found |= {name.strip(): float(amount) for name, amount in parts}
        except ValueError:
            found[""] = 0.0  # which no resource is called
        cpus, gpus = found["cpus"], found["gpus"]
        if len(found) > 2 or not (cpus.is_integer() and cpus >= 0 and 0 <= gpus < math.inf):
            raise UsageError(
                f"--per-trial {text!r} is not understood; give a whole number of cpus, a number "
                f"of gpus, or both, as cpus=4,gpus=0.5."
            )
        return cls(int(cpus), gpus)


def granted(settings: Settings, per_trial: str, site: Resources = Resources()) -> Resources:
    """Return what each job gets, that of `site` where `--per-trial` says nothing; an error where it
    is less than the settings need."""
    asked, threads = Resources.parse(per_trial), settings.threads
    found = Resources(asked.cpus or site.cpus or threads or 1, asked.gpus or site.gpus)
    if threads > found.cpus:
        raise UsageError(f"--threads {threads} needs --per-trial cpus={threads} or more.")
    if settings.device == "gpu" and not found.gpus:
        raise UsageError("--device gpu needs GPUs on the nodes: --per-trial gpus=1.")
    return found


@dataclass(frozen=True)
class ExecutorKind:
    """An executor as it is declared: nothing of it is loaded before it is made."""

    name: str
    help: str  # a few words, for `--help` and `list`
    make: Callable[[Settings, RunRequest], Executor]
    modules: tuple[str, ...] = ()  # that it needs besides the core
    install: str = ""  # what to `pip install` to have them
    takes: tuple[str, ...] = ()  # what else a request may give it, as `make_executor` calls it


EXECUTORS: Registry[ExecutorKind] = Registry("executor")


def make_executor(settings: Settings, request: RunRequest) -> Executor:
    """Make the executor that the request names, as `ray` or `ray:ADDRESS`; an error that says how
    to install what it lacks."""
    name, _, address = request.on.partition(":")
    kind = EXECUTORS[name]
    given = {
        "address": address,
        "--per-trial": request.per_trial,
        "--ship-data": request.ship_data,
        "--site": request.site,
        "--detach": request.detach,
        "--measure-on": request.measure_on,
    }
    if refused := [what for what, value in given.items() if value and what not in kind.takes]:
        raise UsageError(
            f"executor {name} takes no {' and no '.join(refused)}; got --on {request.on}."
        )
    require("executor", kind)
    return kind.make(settings, request)


def follow(events: Iterable[Event], job: Job, listener: Listener) -> None:
    """Pass the events of a job on to the listener; raise as the last one, `Ended`, says, and
    `NodeLostError` where that never came.

    The events may come over a pipe, from a file on a shared disk or from another machine.
    """
    left = {trial.key: trial for trial in job.trials}
    work: Work = "measuring" if job.task == "measure" else "preparing"
    end: Ended | None = None
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
    if end is not None and end.lost:
        raise NodeLostError(end.message)
    if end is None and (left or job.task == "measure"):
        raise NodeLostError("the events of the job stopped before its end.")
    # A measuring job records each trial several times: the last of it may be missing.
    if end is not None and (left or (job.task == "measure" and end.code != 0)):
        if end.out_of_memory:
            raise OutOfMemoryError(end.message, parts=job.accumulation)
        raise WorkerDiedError(end.message)


import_modules(__name__)
