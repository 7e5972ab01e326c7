"""A job's folder on a disk that driver and node share: it transports the job to the node and the
results back. Which node that is, and whether it still runs, is not known here.

    RUN/jobs/NAME.CLUSTER/
      job.json        the order, without the data set, which is in the run's folder
      events          one per line; a line is read when it is complete
      files/SHA256    arrays, weights and logs, complete before the line that names them
      ID_*            files of submitit; `ID_submitted.pkl` appears when the job is submitted
    RUN/jobs/contents/SHA256    pretrained weights and images, for all jobs of the run
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Container, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench.errors import BenchError, NodeLostError
from bench.execution.executors.node import Order, Sent, SentFile, close_kept_executor, serve
from bench.storage.run_folder import JOBS
from bench.system.files import from_json, remove, safe_name, to_json, write_atomic
from bench.training.events import Ended, RecordMade, StageProgress, decode, encode
from bench.training.job import NO_DATASET, Job, attach_dataset

CONTENTS = "contents"  # folder, next to the jobs' folders
ORDER, EVENTS, FILES = "job.json", "events", "files"
SUBMITTED = "_submitted.pkl"
SECONDS_BETWEEN = 1.0  # two progress events within a stage


class Spool:
    """One job's folder, as used by the driver and by the node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.over = False  # whether the driver has read how the job ended
        self._read = 0  # bytes of `events` that were read
        self._progress = 0.0  # monotonic time of the last progress event

    @property
    def job_id(self) -> str:
        """Return the job's ID on the cluster; "" before it is submitted."""
        found = [path.name.removesuffix(SUBMITTED) for path in self.folder.glob(f"*{SUBMITTED}")]
        return found[0] if found else ""

    @property
    def event_kinds(self) -> list[str]:
        """Return the class names of the events written so far."""
        try:
            lines = (self.folder / EVENTS).read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        return [line.partition(b" ")[0].decode(errors="replace") for line in lines]

    @property
    def ended(self) -> bool:
        """Return whether the node has written how the job ended."""
        return Ended.__name__ in self.event_kinds

    def order(self) -> Order:
        """Read the order as it was written, without the data set."""
        return from_json((self.folder / ORDER).read_text(encoding="utf-8"), Order)

    # On the node.

    def remaining_order(self) -> Order:
        """Return the order with its data set, without the trials that have a record.

        There are some if the cluster has started the job again.
        """
        order = self.order()
        job = attach_dataset(order.job)
        if (self.folder / EVENTS).exists():
            with (self.folder / EVENTS).open("ab") as file:
                file.write(b"\n")  # the last line may have been cut off
            done = {one.record.trial.key for one in self.read_new() if isinstance(one, RecordMade)}
            left = tuple(trial for trial in job.trials if trial.key not in done)
            job = replace(job, trials=left, lost=(*job.lost, "the cluster started its job again."))
        return replace(order, job=job)

    def fetch(self, sha256: str) -> bytes:
        """Return a content that the driver offers to all jobs of the run."""
        return (self.folder.parent / CONTENTS / sha256).read_bytes()

    def write(self, sent: Sent) -> None:
        """Write an event or file; `BenchError` if the driver has removed the job's folder."""
        if not (self.folder / ORDER).exists():
            raise BenchError("the job is no longer wanted: its folder was removed.")
        if isinstance(sent, StageProgress):
            if time.monotonic() - self._progress < SECONDS_BETWEEN:
                return
            self._progress = time.monotonic()
        if isinstance(sent, SentFile):
            write_atomic(self.folder / FILES / sent.sha256, sent.content)
            line = f"{SentFile.__name__} {to_json({'path': sent.path, 'sha256': sent.sha256})}"
        else:
            line = encode(sent)
        # Close the file each time: a network disk shows other machines what a closed file holds.
        with (self.folder / EVENTS).open("ab") as file:
            file.write(line.encode() + b"\n")

    # On the driver.

    @classmethod
    def create(cls, order: Order, cluster: str) -> Spool:
        """Make a folder for the order and write it there."""
        job, first = order.job, order.job.trials[0]
        jobs = Path(job.folder) / JOBS
        jobs.mkdir(parents=True, exist_ok=True)
        name = f"{safe_name(first.backbone)}-{first.key}-"
        spool = cls(Path(tempfile.mkdtemp(prefix=name, suffix=f".{cluster}", dir=jobs)))
        slim = replace(order, job=replace(job, dataset=NO_DATASET))
        write_atomic(spool.folder / ORDER, to_json(slim))
        return spool

    def read_new(self) -> Iterator[Sent]:
        """Yield the events and files written since the last call."""
        try:
            with (self.folder / EVENTS).open("rb") as file:
                file.seek(self._read)
                content = file.read()
        except FileNotFoundError:
            return
        lines = content.split(b"\n")[:-1]  # after the last line break is an incomplete line
        for line in lines:
            self._read += len(line) + 1
            with suppress(ValueError):  # cut off, when the cluster started the job again
                yield self._decode(line.decode())

    def _decode(self, line: str) -> Sent:
        kind, _, content = line.partition(" ")
        if kind != SentFile.__name__:
            return decode(line)
        named = json.loads(content)
        try:
            found = (self.folder / FILES / named["sha256"]).read_bytes()
        except OSError as error:
            raise NodeLostError(f"{named['path']} did not arrive.") from error
        return SentFile(named["path"], named["sha256"], found)

    def remove(self) -> None:
        """Remove the folder; a job that still runs ends at its next write."""
        (self.folder / ORDER).unlink(missing_ok=True)
        remove(self.folder)


def find_earlier(
    job: Job, cluster: str, taken: Container[tuple[Path, str]] = ()
) -> Iterator[tuple[Spool, Job]]:
    """Yield the jobs of earlier commands that run trials of this job, with those trials.

    Pairs of folder and trial key in `taken` were received already and are left out. Folders of jobs
    that were never submitted are removed.
    """
    left = {trial.key: trial for trial in job.trials}
    names = f"{safe_name(job.trials[0].backbone)}-*.{cluster}"
    for folder in sorted((Path(job.folder) / JOBS).glob(names)):
        spool = Spool(folder)
        try:
            found = spool.order().job
        except (OSError, ValueError):  # incomplete, or written by another version
            continue
        keys = [trial.key for trial in found.trials if trial.key in left]
        keys = [key for key in keys if (folder, key) not in taken]
        if keys and not spool.job_id:
            spool.remove()
        elif keys:
            trials = tuple(left.pop(key) for key in keys)
            yield spool, replace(job, trials=trials, accumulation=found.accumulation)


def put_content(run: Path, sha256: str, content: bytes) -> None:
    """Write a content where all jobs of the run find it."""
    if not (path := run / JOBS / CONTENTS / sha256).exists():
        write_atomic(path, content)


def remove_unused_contents(run: Path) -> None:
    """Remove the shared contents of a run if it has no jobs."""
    jobs = run / JOBS
    if not any(jobs.glob(f"*/{ORDER}")):
        remove(jobs)


def work(order: str) -> None:
    """Run the job of an order file; this is the function that is submitted to the cluster."""
    spool = Spool(Path(order).parent)

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)  # an orderly exit, which ends the worker, too

    before = dict(os.environ)  # restored at the end: submitit's `debug` runs in the driver
    if "SUBMITIT_EXECUTOR" in os.environ:  # a separate process, in which submitit ignores SIGTERM
        signal.signal(signal.SIGTERM, end)
    try:
        remaining = spool.remaining_order()
        if not remaining.job.trials:
            spool.write(Ended())
            return
        with closing(serve(remaining, spool.fetch)) as events:
            for sent in events:
                spool.write(sent)
    finally:
        close_kept_executor()
        os.environ.clear()
        os.environ.update(before)


@dataclass(frozen=True)
class JobState:
    """The progress of a cluster job, read from its folder."""

    job: str  # its ID on the cluster
    backbone: str
    state: Literal["waiting", "running", "ended"]
    trials: int
    done: int  # trials with a record


def job_states(run: Path) -> tuple[JobState, ...]:
    """Return the progress of a run's cluster jobs that are not completely received."""
    found = []
    for path in sorted((run / JOBS).glob(f"*/{ORDER}")):
        spool = Spool(path.parent)
        with suppress(OSError, ValueError):  # removed meanwhile, or written by another version
            trials = spool.order().job.trials
            kinds = spool.event_kinds
            state: Literal["waiting", "running", "ended"] = "running" if kinds else "waiting"
            if Ended.__name__ in kinds:
                state = "ended"
            done = kinds.count(RecordMade.__name__)
            found.append(JobState(spool.job_id, trials[0].name, state, len(trials), done))
    return tuple(found)
