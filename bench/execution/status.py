"""How far a run is, from its folder alone: while a process makes it, and after that has ended.

    progress.json     what the process that makes the run is at, written by a listener of its events

What is done is in the records. Reading changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from bench.errors import DetachedError, reason
from bench.execution.executors.spool import JobState, states
from bench.execution.progress import RunEvent, RunListener
from bench.storage.records import read_records
from bench.storage.run_folder import LOCK, read_json, read_meta
from bench.system.command_line import typed
from bench.system.files import from_json, to_json, write_atomic
from bench.system.locks import is_held
from bench.training.events import RunProgress, StageProgress, TrialEnded, WritingReports

FILE = "progress.json"
SECONDS_BETWEEN = 1.0  # two writes of it
End = Literal["", "finished", "interrupted", "error", "detached"]


@dataclass(frozen=True)
class Progress:
    """The content of `progress.json`; times are seconds since 1970."""

    started: float  # of the command
    written: float
    end: End = ""  # how the command ended
    reason: str = ""  # of an error
    doing: Mapping[str, str] = field(default_factory=dict)  # stages under way, by trial
    share: float = 0.0
    seconds_left: float | None = None


class ProgressFile:
    """A listener that writes `progress.json` and passes every event on; a context, whose end is
    that of the command."""

    def __init__(self, folder: Path, listener: RunListener) -> None:
        self._path, self._listener = folder / FILE, listener
        self._now = Progress(time.time(), 0.0)

    def __enter__(self) -> Self:
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        end: End = "finished"
        if error is not None:
            end = "error" if isinstance(error, Exception) else "interrupted"
        if isinstance(error, DetachedError):
            end = "detached"
        why = reason(error) if isinstance(error, Exception) and end == "error" else ""
        self._now = replace(self._now, end=end, reason=why, doing={})
        self._write()

    def __call__(self, event: RunEvent) -> None:
        """Note what is new; a second may pass until it is written."""
        self._listener(event)
        now, doing = self._now, dict(self._now.doing)
        match event:
            case StageProgress(trial, stage, done, total):
                counted = f" {done}/{total}" if total else ""
                key = "" if event.work == "measuring" else trial.key
                doing[key] = f"{trial.name}, seed {trial.seed}: {stage}{counted}"
            case TrialEnded(record):
                doing.pop(record.trial.key, None)
            case WritingReports():
                doing = {"": "writing the reports"}
            case RunProgress(share, seconds):
                now = replace(now, share=share, seconds_left=seconds)
            case _:
                return
        self._now = replace(now, doing=doing)
        if time.time() - now.written >= SECONDS_BETWEEN:
            self._write()

    def _write(self) -> None:
        self._now = replace(self._now, written=time.time())
        with suppress(OSError):  # what the run itself cannot write ends it
            write_atomic(self._path, to_json(self._now))


@dataclass(frozen=True)
class Status:
    """How far a run is."""

    run: str
    folder: str
    state: Literal["running", "finished", "interrupted", "error", "detached", "killed", "unknown"]
    trials: int  # that the last command asked for
    done: int
    failed: int
    left: int  # have no record yet
    doing: tuple[str, ...]  # while it is running
    jobs: tuple[JobState, ...]  # on a Slurm cluster, whose results are not all taken in
    elapsed_seconds: float | None  # of the last command
    seconds_left: float | None  # while it is running
    reason: str  # of an error
    command: str  # which continues the run; empty where a program made it


def read_status(folder: Path) -> Status:
    """Read how far the run in this folder is."""
    meta, progress, now = read_meta(folder), _read_progress(folder), time.time()
    status = {record.trial.key: record.status for record in read_records(folder)}
    asked = status.keys() if meta.asked is None else meta.asked  # None: as in version 0.1
    found = [status.get(key) for key in asked]
    running = is_held(folder / LOCK)
    elapsed = left = None
    if progress is not None:
        elapsed = (now if running else progress.written) - progress.started
        if running and progress.seconds_left is not None:
            left = max(0.0, progress.seconds_left - (now - progress.written))
    return Status(
        run=folder.name,
        folder=str(folder),
        state="running" if running else _ended(progress),
        trials=len(found),
        done=found.count("ok"),
        failed=found.count("failed"),
        left=found.count(None),
        doing=tuple(progress.doing.values()) if running and progress else (),
        jobs=states(folder),
        elapsed_seconds=elapsed,
        seconds_left=left,
        reason=progress.reason if progress else "",
        command=typed(meta.command),
    )


def _ended(
    progress: Progress | None,
) -> Literal["finished", "interrupted", "error", "detached", "killed", "unknown"]:
    if progress is None:  # as in version 0.1
        return "unknown"
    return progress.end or "killed"


def _read_progress(folder: Path) -> Progress | None:
    path = folder / FILE
    if not path.exists():
        return None
    remedy = "Delete it: nothing else needs it."
    return read_json(path, lambda text: from_json(text, Progress), remedy)
