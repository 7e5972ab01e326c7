"""A job's folder on a disk that driver and node share: it carries the job to the node, and back
what the node yields. Which node that is, and whether it still runs, is not known here.

    RUN/jobs/NAME.CLUSTER/
      job.json        the order, without the data set, which is in the run's folder
      events          a line each, read once it is whole
      files/SHA256    arrays, weights and logs: renamed to this before the line that names them
      ID_*            what submitit keeps; `ID_submitted.pkl` appears once the job is submitted
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
from bench.execution.executors.node import Order, Sent, SentFile, release, serve
from bench.storage.run_folder import JOBS
from bench.system.files import from_json, remove, safe_name, to_json, write_atomic
from bench.training.events import Ended, RecordMade, StageProgress, decode, encode
from bench.training.job import NO_DATASET, Job, attach_dataset

CONTENTS = "contents"  # in the folder of all jobs
ORDER, EVENTS, FILES = "job.json", "events", "files"
SUBMITTED = "_submitted.pkl"
SECONDS_BETWEEN = 1.0  # two events of the progress within a stage


class Spool:
    """One job's folder, for either side."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.over = False  # whether the driver has read how the job ended
        self._read = 0  # bytes of the events
        self._progress = 0.0  # when some was written

    @property
    def job_id(self) -> str:
        """Return the cluster's name of the job; "" while it is not submitted."""
        found = [path.name.removesuffix(SUBMITTED) for path in self.folder.glob(f"*{SUBMITTED}")]
        return found[0] if found else ""

    @property
    def kinds(self) -> list[str]:
        """Return what events there are, by their names."""
        try:
            lines = (self.folder / EVENTS).read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        return [line.partition(b" ")[0].decode(errors="replace") for line in lines]

    @property
    def ended(self) -> bool:
        return Ended.__name__ in self.kinds

    def order(self) -> Order:
        """Read the order, as it was written: without the data set."""
        return from_json((self.folder / ORDER).read_text(encoding="utf-8"), Order)

    # On the node.

    def received(self) -> Order:
        """Return the order to carry out. Where the cluster has started the job again, what has a
        record already is left out."""
        order = self.order()
        job = attach_dataset(order.job)
        if (self.folder / EVENTS).exists():
            with (self.folder / EVENTS).open("ab") as file:
                file.write(b"\n")  # the last line may have been cut off
            done = {one.record.trial.key for one in self.new() if isinstance(one, RecordMade)}
            left = tuple(trial for trial in job.trials if trial.key not in done)
            job = replace(job, trials=left, lost=(*job.lost, "the cluster started its job again."))
        return replace(order, job=job)

    def fetch(self, sha256: str) -> bytes:
        """Return what the driver has put for all jobs of the run."""
        return (self.folder.parent / CONTENTS / sha256).read_bytes()

    def write(self, sent: Sent) -> None:
        """Write what the node yields; an error where the driver has removed the folder."""
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
        # Closed each time: a network's disk shows others what a closed file holds.
        with (self.folder / EVENTS).open("ab") as file:
            file.write(line.encode() + b"\n")

    # On the driver.

    @classmethod
    def make(cls, order: Order, cluster: str) -> Spool:
        """Write an order where its node will read it."""
        job, first = order.job, order.job.trials[0]
        jobs = Path(job.folder) / JOBS
        jobs.mkdir(parents=True, exist_ok=True)
        name = f"{safe_name(first.backbone)}-{first.key}-"
        spool = cls(Path(tempfile.mkdtemp(prefix=name, suffix=f".{cluster}", dir=jobs)))
        slim = replace(order, job=replace(job, dataset=NO_DATASET))
        write_atomic(spool.folder / ORDER, to_json(slim))
        return spool

    def new(self) -> Iterator[Sent]:
        """Yield what was written since the last call."""
        try:
            with (self.folder / EVENTS).open("rb") as file:
                file.seek(self._read)
                content = file.read()
        except FileNotFoundError:
            return
        lines = content.split(b"\n")[:-1]  # behind the last break is what is not whole yet
        for line in lines:
            self._read += len(line) + 1
            with suppress(ValueError):  # it was cut off, and the job started again
                yield self._decoded(line.decode())

    def _decoded(self, line: str) -> Sent:
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
        """Remove the folder; a job that still runs ends when it writes again."""
        (self.folder / ORDER).unlink(missing_ok=True)
        remove(self.folder)


def earlier(
    job: Job, cluster: str, taken: Container[tuple[Path, str]] = ()
) -> Iterator[tuple[Spool, Job]]:
    """Yield the folders of jobs that earlier commands submitted, with what each of them does of
    this job; not of folders and trials that were `taken` in. Remove the folders of those that were
    not submitted any more."""
    left = {trial.key: trial for trial in job.trials}
    names = f"{safe_name(job.trials[0].backbone)}-*.{cluster}"
    for folder in sorted((Path(job.folder) / JOBS).glob(names)):
        spool = Spool(folder)
        try:
            found = spool.order().job
        except (OSError, ValueError):  # written by another version, or not to its end
            continue
        keys = [trial.key for trial in found.trials if trial.key in left]
        keys = [key for key in keys if (folder, key) not in taken]
        if keys and not spool.job_id:
            spool.remove()
        elif keys:
            trials = tuple(left.pop(key) for key in keys)
            yield spool, replace(job, trials=trials, accumulation=found.accumulation)


def put(run: Path, sha256: str, content: bytes) -> None:
    """Put a content where all jobs of the run find it."""
    if not (path := run / JOBS / CONTENTS / sha256).exists():
        write_atomic(path, content)


def tidy(run: Path) -> None:
    """Remove what the jobs of a run shared, once there are none."""
    jobs = run / JOBS
    if not any(jobs.glob(f"*/{ORDER}")):
        remove(jobs)


def work(order: str) -> None:
    """Carry out the job of this file: all that a submitted job does."""
    spool = Spool(Path(order).parent)

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)  # in order: what it started ends with it

    before = dict(os.environ)  # of the command's own process, in submitit's `debug` cluster
    if "SUBMITIT_EXECUTOR" in os.environ:  # in a process of its own, where submitit ignores it
        signal.signal(signal.SIGTERM, end)
    try:
        received = spool.received()
        if not received.job.trials:
            spool.write(Ended())
            return
        with closing(serve(received, spool.fetch)) as events:
            for sent in events:
                spool.write(sent)
    finally:
        release()
        os.environ.clear()
        os.environ.update(before)


@dataclass(frozen=True)
class JobState:
    """How far a job is, as far as its folder tells."""

    job: str  # the cluster's name of it
    backbone: str
    state: Literal["waiting", "running", "ended"]
    trials: int
    done: int  # of them


def states(run: Path) -> tuple[JobState, ...]:
    """Return how far the jobs of a run are whose records are not all taken in."""
    found = []
    for path in sorted((run / JOBS).glob(f"*/{ORDER}")):
        spool = Spool(path.parent)
        with suppress(OSError, ValueError):  # removed meanwhile, or written by another version
            trials = spool.order().job.trials
            kinds = spool.kinds
            state: Literal["waiting", "running", "ended"] = "running" if kinds else "waiting"
            if Ended.__name__ in kinds:
                state = "ended"
            done = kinds.count(RecordMade.__name__)
            found.append(JobState(spool.job_id, trials[0].name, state, len(trials), done))
    return tuple(found)
