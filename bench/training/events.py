"""The events of a run, which every listener gets: the terminal, a notebook, tests.

A worker writes each event as one line. A transport (a pipe, a file on a shared disk, a remote
generator) carries the lines, and ends the stream with `Ended`. The classes after `Ended` are events
of the parent process; so is `RunPreview` in `bench/execution/progress.py`.
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
    """A trial has begun a stage of its work, or made progress in it."""

    trial: Trial
    stage: str
    done: int = 0
    total: int = 0  # 0: not known
    work: Work = "preparing"  # "phase": a phase of the protocol, with `EpochEnded` events

    @property
    def text(self) -> str:
        """Return the trial, the stage and the progress as one line."""
        counted = f" {self.done}/{self.total}" if self.total else ""
        return f"{self.trial.title}: {self.stage}{counted}"


@dataclass(frozen=True)
class EpochEnded:
    """One epoch of a phase has ended."""

    trial: Trial
    phase: str
    epochs: int  # maximum for the phase
    number: int  # counted from 1
    epoch: Epoch
    random: bool = False  # trained from random weights: the accuracy means nothing


@dataclass(frozen=True)
class Note:
    """A message for the user."""

    text: str


@dataclass(frozen=True)
class RecordMade:
    """A trial has been trained, or failed."""

    record: Record
    line: str = ""  # the record as a line of records.jsonl, if it is encoded already


@dataclass(frozen=True)
class RecordMeasured(RecordMade):
    """The record of a trained trial has new measurements."""


@dataclass(frozen=True)
class Waiting:
    """The worker waits for another process, before or during a trial."""

    text: str


@dataclass(frozen=True)
class Ended:
    """The last event of a stream: how the job's process ended."""

    code: int = 0  # exit code; negative: the signal that killed the process
    out_of_memory: bool = False
    message: str = ""  # how it ended, and where its log is
    lost: bool = False  # the node did not get its input: another node may run the job


@dataclass(frozen=True)
class TrialEnded:
    """A trial has its first record, finished or failed."""

    record: Record
    accuracy: float | None
    seconds: float  # spent on it, without reused work


@dataclass(frozen=True)
class RuntimeMeasured:
    """One runtime of a trained model has been timed, or failed."""

    trial: Trial
    result: RuntimeResult
    latency_ms: float | None  # the median for one image


@dataclass(frozen=True)
class RunProgress:
    """The progress of the whole run: trials, measuring and reports."""

    share: float  # fraction done, 0 to 1
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
    """The progress of a task before training, such as decoding the images."""

    task: str
    done: int
    total: int
    step: str = ""


@dataclass(frozen=True)
class TaskEnded:
    """A task before training is done."""

    task: str


@dataclass(frozen=True)
class TrainingStarted:
    """The first job is about to go to the executor."""


@dataclass(frozen=True)
class Interrupted:
    """The user interrupted the run; finished trials are reported."""


@dataclass(frozen=True)
class WritingReports:
    """All trials are trained and measured; the reports are being written."""


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
    """Return the event as one line: its class name and its fields (or the record) as JSON."""
    if isinstance(event, RecordMade):
        content = event.line or to_json(event.record)
    else:
        content = to_json(event)
    return f"{type(event).__name__} {content}"


def decode(line: str) -> Event:
    """Return the event that a line encodes; raise `ValueError` for a truncated line."""
    name, _, content = line.strip().partition(" ")
    if (kind := KINDS.get(name)) is None:
        raise ValueError(f"{name[:40]!r} is not an event")
    if issubclass(kind, RecordMade):
        return kind(from_json(content, Record), content)
    return from_json(content, kind)
