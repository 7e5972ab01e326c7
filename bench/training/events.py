"""The events of a run, for every listener: the terminal, a notebook, tests.

A worker writes each event as one line. A transport (a pipe; a file on a shared disk; a remote
generator) carries the lines, and ends the stream with `Ended`. The parent adds the events that
follow that one here, and the plan (`RunPreview` in `bench/execution/progress.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from bench.system.files import from_json, to_json
from bench.types import Epoch, Record, RuntimeResult, Trial

Work = Literal["preparing", "phase", "measuring"]


@dataclass(frozen=True)
class StageProgress:
    """A trial has begun a stage, or goes on in it."""

    trial: Trial
    stage: str
    done: int = 0
    total: int = 0  # 0: not known
    work: Work = "preparing"  # "phase": of the protocol, whose epochs have events

    @property
    def text(self) -> str:
        """Say which trial does what, and how far it is."""
        counted = f" {self.done}/{self.total}" if self.total else ""
        return f"{self.trial.title}: {self.stage}{counted}"


@dataclass(frozen=True)
class EpochEnded:
    """One epoch of a phase has ended."""

    trial: Trial
    phase: str
    epochs: int  # of the phase, at most
    number: int  # counted from 1
    epoch: Epoch
    random: bool = False  # its weights are, so that its accuracy means nothing


@dataclass(frozen=True)
class Note:
    """Something that a user should read."""

    text: str


@dataclass(frozen=True)
class RecordMade:
    """A trial has trained, or failed."""

    record: Record
    line: str = ""  # of records.jsonl, where the record was encoded already


@dataclass(frozen=True)
class RecordMeasured(RecordMade):
    """More has been measured of a trial that had trained."""


@dataclass(frozen=True)
class Waiting:
    """The worker waits, before or within a trial, for another process."""

    text: str


@dataclass(frozen=True)
class Ended:
    """The last event of a stream: how the process ended that did the job."""

    code: int = 0  # of its exit; negative: the signal that killed it
    out_of_memory: bool = False
    message: str = ""  # how it ended, and where its log is
    lost: bool = False  # what it needed did not come: another node may do the job


@dataclass(frozen=True)
class TrialEnded:
    """A trial has its first record, finished or failed."""

    record: Record
    accuracy: float | None
    seconds: float  # that it took, without work that was reused


@dataclass(frozen=True)
class RuntimeMeasured:
    """One runtime of a trained model has been timed, or failed."""

    trial: Trial
    result: RuntimeResult
    latency_ms: float | None  # the median for one image


@dataclass(frozen=True)
class RunProgress:
    """How far the whole run is: its trials, the measuring, its reports."""

    share: float
    seconds_left: float


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
class TrainingStarted:
    """The first job is about to go to the executor."""


@dataclass(frozen=True)
class Interrupted:
    """The user asked to stop; what is finished is reported."""


@dataclass(frozen=True)
class WritingReports:
    """All is trained and measured."""


Event: TypeAlias = (
    StageProgress
    | EpochEnded
    | Note
    | RecordMade
    | RecordMeasured
    | Waiting
    | Ended
    | TrialEnded
    | RuntimeMeasured
    | RunProgress
    | Warned
    | DatasetListed
    | TaskProgress
    | TaskEnded
    | TrainingStarted
    | Interrupted
    | WritingReports
)
Listener: TypeAlias = Callable[[Event], None]
KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}


def stage_progress(
    listener: Listener, trial: Trial, stage: str, work: Work = "preparing"
) -> Callable[[int, int], None]:
    """Return a function of `done` and `total` that sends the listener a `StageProgress`."""
    return lambda done, total: listener(StageProgress(trial, stage, done, total, work))


def encode(event: Event) -> str:
    """Return the event as one line: its kind and its fields; of a record, its line on disk."""
    if isinstance(event, RecordMade):
        content = event.line or to_json(event.record)
    else:
        content = to_json(event)
    return f"{type(event).__name__} {content}"


def decode(line: str) -> Event:
    """Read the event back; a ValueError where the line was cut off."""
    name, _, content = line.strip().partition(" ")
    if (kind := KINDS.get(name)) is None:
        raise ValueError(f"{name[:40]!r} is no event")
    if issubclass(kind, RecordMade):
        return kind(from_json(content, Record), content)
    return from_json(content, kind)
