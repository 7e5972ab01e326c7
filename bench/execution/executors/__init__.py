"""Executors run jobs, locally or on a cluster, and pass on their events, which include a record of
every trial.

Each executor is declared in one file of this folder by `EXECUTORS.add(ExecutorKind(...))`.
Importing this package registers all of them, without loading what they need.
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

MAX_JOBS = 1000  # submitted to a cluster at once, one thread each, so that late nodes find work


class Executor(ABC):
    """Runs jobs, one after another or several at once."""

    @property
    def slots(self) -> int:
        """Return how many threads may call `run` at once, each job with its own device."""
        return 1

    @property
    def capacity(self) -> int:
        """Return how many jobs separate machines run at once, as far as is known.

        If it is more than the backbones, the trials of a backbone are split into several jobs.
        """
        return 1

    @property
    def notes(self) -> tuple[str, ...]:
        """Return notes for the report on how the figures were obtained."""
        return ()

    @abstractmethod
    def run(self, job: Job, listener: Listener) -> None:
        """Run one job; raise `WorkerDiedError` if it ended with trials that have no record."""

    def warm_up(self) -> None:  # noqa: B027  (optional)
        """Start loading what the first job needs, while the parent still reads the data."""

    def close(self) -> None:  # noqa: B027
        """End all running jobs; no other will be run."""


@dataclass(frozen=True)
class Resources:
    """The resources of each job on a cluster."""

    cpus: int = 0  # 0: the value of `--threads`, or 1
    gpus: float = 0.0  # 0.5: two jobs share one

    def __str__(self) -> str:
        return f"cpus={self.cpus},gpus={self.gpus:g}"

    @classmethod
    def parse(cls, text: str) -> Resources:
        """Parse the value of `--per-trial`: `cpus=4,gpus=0.5`, or one of them."""
        found = {"cpus": 0.0, "gpus": 0.0}
        try:
            parts = [part.split("=") for part in text.split(",")] if text else []
            found |= {name.strip(): float(amount) for name, amount in parts}
        except ValueError:
            found[""] = 0.0  # not a resource: refused below
        cpus, gpus = found["cpus"], found["gpus"]
        if len(found) > 2 or not (cpus.is_integer() and cpus >= 0 and 0 <= gpus < math.inf):
            raise UsageError(
                f"--per-trial {text!r} is not understood; give a whole number of cpus, a number "
                f"of gpus, or both, as cpus=4,gpus=0.5."
            )
        return cls(int(cpus), gpus)


def resolve_resources(
    settings: Settings, per_trial: str, site: Resources = Resources()
) -> Resources:
    """Return the resources of each job: those of `--per-trial`, else of the `site` file.

    `UsageError`: they are less than the settings need.
    """
    asked, threads = Resources.parse(per_trial), settings.threads
    found = Resources(asked.cpus or site.cpus or threads or 1, asked.gpus or site.gpus)
    if threads > found.cpus:
        raise UsageError(f"--threads {threads} needs --per-trial cpus={threads} or more.")
    if settings.device == "gpu" and not found.gpus:
        raise UsageError("--device gpu needs GPUs on the nodes: --per-trial gpus=1.")
    return found


@dataclass(frozen=True)
class ExecutorKind:
    """The declaration of an executor; `make` loads what it needs."""

    name: str
    help: str  # a few words, for `--help` and `list`
    make: Callable[[Settings, RunRequest], Executor]
    modules: tuple[str, ...] = ()  # optional packages that it imports
    install: str = ""  # the argument of `pip install` for them
    takes: tuple[str, ...] = ()  # options of the request that it accepts, by the names below


EXECUTORS: Registry[ExecutorKind] = Registry("executor")


def make_executor(settings: Settings, request: RunRequest) -> Executor:
    """Make the executor that `request.on` names, as `ray` or `ray:ADDRESS`.

    An error is raised if it does not take the request's options or if a package is missing.
    """
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
    """Pass a job's events on to the listener, and raise an error if it did not finish.

    The last event, `Ended`, tells how the job ended; `NodeLostError`: it never came. The events may
    come over a pipe, from a file on a shared disk or from another machine.
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
    # A measuring job sends several records of each trial, so only its exit code shows the end.
    if end is not None and (left or (job.task == "measure" and end.code != 0)):
        if end.out_of_memory:
            raise OutOfMemoryError(end.message, parts=job.accumulation)
        raise WorkerDiedError(end.message)


import_modules(__name__)
