"""The events of a whole run, in addition to those of its trials (`bench.training.events`).

One listener, a callable that takes an event, serves the terminal, a notebook and tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.data.audit.result import KeptAudit
from bench.execution.plan import Plan
from bench.execution.schedule import Schedule, make_schedule
from bench.training.events import Event
from bench.types import Trial


@dataclass(frozen=True)
class Warned:
    """Something went wrong that does not stop the run."""

    text: str


@dataclass(frozen=True)
class DatasetListed:
    """The images are listed; nothing is decoded yet."""

    description: str


@dataclass(frozen=True)
class TaskProgress:
    """How far a task is that comes before the training."""

    task: str
    done: int
    total: int
    step: str = ""


@dataclass(frozen=True)
class TaskEnded:
    """The task is done."""

    task: str


@dataclass(frozen=True)
class Planned:
    """What the run will do, and what its folder already holds."""

    plan: Plan
    waiting: tuple[Trial, ...]  # to be trained
    unmeasured: tuple[Trial, ...]  # trained, and still to be measured
    folder: Path
    audit: KeptAudit | None
    decoded: bool = True  # else what is known of the images is what their files' names say

    @property
    def schedule(self) -> Schedule:
        """Return how long it is estimated to take."""
        return make_schedule(self.plan, self.waiting, {t.backbone for t in self.unmeasured})


@dataclass(frozen=True)
class TrainingStarted:
    """The first job is about to go to the executor."""


@dataclass(frozen=True)
class Interrupted:
    """The user asked to stop; what is finished is reported."""


@dataclass(frozen=True)
class WritingReports:
    """All is trained and measured."""


RunEvent = (
    Warned
    | DatasetListed
    | TaskProgress
    | TaskEnded
    | Planned
    | TrainingStarted
    | Interrupted
    | WritingReports
    | Event
)
RunListener = Callable[[RunEvent], None]
