"""The status of a run, read from its folder alone, while it is running and afterwards.

    progress.json     what the run's process is doing, written by a listener of its events

Finished trials are counted from the records. Reading changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from bench.errors import DetachedError, failure_reason
from bench.execution.executors.spool import JobState, job_states
from bench.execution.progress import RunEvent, RunListener
from bench.storage.records import read_records
from bench.storage.run_folder import LOCK, RunMeta, read_json, read_meta, run_json_paths
from bench.system.command_line import format_command, relocate_command
from bench.system.files import to_json, write_atomic
from bench.system.locks import is_locked
from bench.training.events import RunProgress, StageProgress, TrialEnded, WritingReports

FILE = "progress.json"
SECONDS_BETWEEN = 1.0  # two writes of progress.json
End = Literal["", "finished", "interrupted", "error", "detached"]
State = Literal["running", "finished", "interrupted", "error", "detached", "killed", "unknown"]


@dataclass(frozen=True)
class ProgressContent:
    """The content of `progress.json`; times are seconds since 1970."""

    started: float  # when the command started
    written: float  # when this was written
    end: End = ""  # how the command ended; "": not yet, or it was killed
    reason: str = ""  # message of the error that ended it
    doing: Mapping[str, str] = field(default_factory=dict)  # current stages, by trial key
    share: float = 0.0  # finished fraction of the run
    seconds_left: float | None = None
    rounds: tuple[str, ...] = ()  # folders of a screening's rounds that have started


class ProgressFile:
    """A listener that writes `progress.json` and passes every event on.

    As a context manager it records how the command ended.
    """

    def __init__(self, folder: Path, listener: RunListener) -> None:
        self._folder, self._listener = folder, listener
        self._now = ProgressContent(time.time(), 0.0)
        self._due = 0.0  # monotonic time of the next write

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
        why = failure_reason(error) if isinstance(error, Exception) and end == "error" else ""
        self._now = replace(self._now, end=end, reason=why, doing={})
        self._write()

    def __call__(self, event: RunEvent) -> None:
        """Take one event; its content is written within about a second."""
        self._listener(event)
        now, doing = self._now, dict(self._now.doing)
        match event:
            case StageProgress():
                doing["" if event.work == "measuring" else event.trial.key] = event.text
            case TrialEnded(record):
                doing.pop(record.trial.key, None)
            case WritingReports():
                doing = {"": "writing the reports"}
            case RunProgress(share, seconds):
                now = replace(now, share=share, seconds_left=seconds)
            case _:
                return
        self._now = replace(now, doing=doing)
        if time.monotonic() >= self._due:
            self._write()

    def enter_round(self, folder: Path) -> None:
        """Note that a round of a screening starts in its own folder."""
        begun = (*self._now.rounds, folder.relative_to(self._folder).as_posix())
        self._now = replace(self._now, rounds=begun, doing={})
        self._write()

    def _write(self) -> None:
        self._now = replace(self._now, written=time.time())
        self._due = time.monotonic() + SECONDS_BETWEEN
        with suppress(OSError):  # progress is not worth ending the run for
            write_atomic(self._folder / FILE, to_json(self._now))


@dataclass(frozen=True)
class RoundStatus:
    """The progress of one round of a screening."""

    round: str
    trials: int  # one for each participating backbone
    done: int
    failed: int
    left: int


@dataclass(frozen=True)
class Status:
    """The progress of a run."""

    run: str
    folder: str
    state: State
    rounds: tuple[RoundStatus, ...]  # of a screening, without its final
    trials: int  # requested by the last command; 0 before a screening reaches its final
    done: int
    failed: int
    left: int  # without a record
    doing: tuple[str, ...]  # current stages; empty unless running
    jobs: tuple[JobState, ...]  # on a Slurm cluster, with results not collected yet
    elapsed_seconds: float | None  # of the last command
    seconds_left: float | None  # None unless running
    reason: str  # message of the error that ended the run
    command: str  # that continues the run; empty if it was made by a program


def read_status(folder: Path) -> Status:
    """Read the status of the run in this folder."""
    remedy = "Delete it: nothing else needs it."
    progress, now = read_json(folder / FILE, ProgressContent, remedy), time.time()
    rounds = [folder / path for path in progress.rounds] if progress else []
    running = is_locked(folder / LOCK)
    elapsed = left = None
    ended: State = "unknown"  # version 0.1 wrote no progress.json
    if progress is not None:
        ended = progress.end or "killed"
        # Never negative, even if the clock was set back.
        elapsed = max(0.0, (now if running else progress.written) - progress.started)
        if running and progress.seconds_left is not None:
            left = max(0.0, progress.seconds_left - max(0.0, now - progress.written))
    # Before its final, a screening has a `run.json` in the folders of its rounds only.
    meta = next((read_meta(path.parent) for path in run_json_paths(folder)), RunMeta())
    return Status(
        run=folder.name,
        folder=str(folder),
        state="running" if running else ended,
        rounds=tuple(RoundStatus(path.name.split("-")[0], **_counts(path)) for path in rounds),
        **_counts(folder),
        doing=tuple(progress.doing.values()) if running and progress else (),
        jobs=tuple(job for path in (*rounds, folder) for job in job_states(path)),
        elapsed_seconds=elapsed,
        seconds_left=left,
        reason=progress.reason if progress else "",
        command=format_command(relocate_command(meta.command, folder.parent), meta.environment),
    )


def _counts(folder: Path) -> dict[str, int]:
    """Count the trials requested by the last command in this folder, by their status."""
    status = {record.trial.key: record.status for record in read_records(folder)}
    asked = read_meta(folder).asked  # None: version 0.1
    found = [status.get(key) for key in (status if asked is None else asked)]
    counts = {"done": found.count("ok"), "failed": found.count("failed"), "left": found.count(None)}
    return {"trials": len(found), **counts}
