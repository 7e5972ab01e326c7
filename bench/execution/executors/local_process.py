"""Runs each job in a process of its own: one that dies takes nothing with it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from msgspec import convert

from bench.errors import OutOfMemoryError, StoppedError, WorkerDiedError
from bench.execution.executors.cores import reserve
from bench.execution.executors.gpus import can_be_no_gpu, visible_gpus
from bench.execution.executors.watch import Watch
from bench.execution.executors.worker_environment import worker_environment
from bench.execution.executors.worker_process import WorkerProcess
from bench.system.files import temporary_sibling
from bench.system.memory import OUT_OF_MEMORY_TEXT
from bench.training.job import Blueprint, Job, Listener
from bench.training.job_file import write_job
from bench.types import Epoch, Record, Settings, Trial

LAST_WORDS_BYTES = 4096


class LocalProcess:
    """Worker processes on this machine, one a job; where there are several GPUs, a job on each.

    Without a GPU, one process loads the framework and forks the workers: what loading takes is
    spent once. A GPU's driver is not known to survive that.
    """

    def __init__(self, settings: Settings, trial_timeout: float | None = None) -> None:
        """`trial_timeout`: the seconds after which a trial is ended, if any."""
        self._trial_timeout = trial_timeout
        self._environment = worker_environment(settings)
        self._gpus = () if settings.device == "cpu" else visible_gpus()
        no_gpu = settings.device == "cpu" or can_be_no_gpu()
        self._forks = sys.platform == "linux" and no_gpu
        # Those without a worker. One alone, or none, is what its framework finds by itself.
        gpus = self._gpus if len(self._gpus) > 1 else ("",)
        self._cores = reserve(settings.threads, len(gpus))
        self._free = list(zip(gpus, self._cores.sets, strict=True))
        self._warm: WorkerProcess | None = None
        self._running: list[WorkerProcess] = []
        self._closed = False
        self._lock = threading.RLock()

    @property
    def slots(self) -> int:
        """As many as there are GPUs, if the framework can use them; asks it, where there are."""
        if len(self._gpus) < 2:
            return 1
        worker = self._warmed()
        with Watch(worker.pid, worker.kill):
            kind = worker.device_kind()
        return len(self._gpus) if kind == "gpu" else 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures should know of how the work is done."""
        return tuple(filter(None, [self._cores.note]))

    def warm_up(self) -> None:
        """Start the next worker now: it loads its framework while the data are still read."""
        self._warmed()

    def build_ahead(self, blueprint: Blueprint | None) -> None:
        """Let the next worker build this network, if any, while the images are still decoded."""
        if blueprint is not None:
            self._warmed().tell({"build": asdict(blueprint)})

    def close(self) -> None:
        """End a worker that was started and not needed, and those that are at work."""
        with self._lock:
            self._closed = True
            warm, self._warm = self._warm, None
            running = list(self._running)
        if warm is not None:
            warm.end()
        for worker in running:
            worker.stop()
        self._cores.release()

    def run(self, job: Job, listener: Listener) -> None:
        first = job.trials[0]
        logs = Path(job.folder) / "logs"
        name = f"{first.backbone}-{first.key}" if job.task == "train" else "measuring"
        job_path, log_path = temporary_sibling(logs / f"{name}.job.json"), logs / f"{name}.log"
        write_job(job_path, job)
        recorded: set[str] = set()
        try:
            with self._worker() as worker, self._watch(worker, job) as watch:
                for event in worker.work(job_path, log_path):
                    watch.heard(record=event["event"] == "record" and job.task == "train")
                    dispatch_event(event, job, listener, recorded)
                code = worker.wait(log_path)
        finally:
            job_path.unlink(missing_ok=True)
        if self._closed:
            raise StoppedError(f"{name} was stopped.")
        # What is measured is recorded bit by bit: there the last of it may be missing.
        if len(recorded) < len(job.trials) or (job.task == "measure" and code != 0):
            for_memory = not watch.reason and _for_memory(code, log_path)
            kind = OutOfMemoryError if for_memory else WorkerDiedError
            how = watch.reason or _how(code, for_memory=for_memory)
            raise kind(f"{how}; its log is logs/{log_path.name}.")

    def _watch(self, worker: WorkerProcess, job: Job) -> Watch:
        # All trials are measured together: what one may take, as often as there are trials.
        trials = len(job.trials) if job.task == "measure" else 1
        limit = None if self._trial_timeout is None else self._trial_timeout * trials
        return Watch(worker.pid, worker.kill, limit)

    def _warmed(self) -> WorkerProcess:
        with self._lock:
            if self._closed:
                raise StoppedError("no more workers are started.")
            if self._warm is None:
                gpu, cores = self._free.pop(0)
                self._warm = WorkerProcess(self._environment, cores, gpu, forks=self._forks)
            return self._warm

    @contextmanager
    def _worker(self) -> Iterator[WorkerProcess]:
        """One that was started, or is now; afterwards it is ready for the next job, or ended and
        its GPU free again."""
        with self._lock:
            worker, self._warm = self._warmed(), None
            self._running.append(worker)
        try:
            yield worker
        except BaseException:
            worker.end()
            raise
        finally:
            with self._lock:
                self._running.remove(worker)
                if worker.goes_on and not self._closed:
                    self._warm = worker
                else:
                    self._free.append((worker.gpu, worker.cores))


def dispatch_event(event: dict[str, Any], job: Job, listener: Listener, recorded: set[str]) -> None:
    trials: dict[str, Trial] = {trial.key: trial for trial in job.trials}
    kind = event["event"]
    if kind == "stage":
        listener.stage(trials[event["key"]], event["stage"], event["done"], event["total"])
    elif kind == "epoch":
        epoch = convert(event["epoch"], Epoch)
        trial = trials[event["key"]]
        listener.epoch(trial, event["phase"], event["of"], event["number"], epoch)
    elif kind == "note":
        listener.note(event["text"])
    elif kind == "waiting":
        # A trial that is measured has a record before.
        left = [trial for key, trial in trials.items() if key not in recorded]
        listener.stage((left or job.trials)[0], event["text"])
    elif kind == "record":
        record = convert(event["record"], Record)
        recorded.add(record.trial.key)
        listener.record(record)
    elif kind == "out_of_memory":
        raise OutOfMemoryError(event["reason"])


def _for_memory(code: int, log_path: Path) -> bool:
    """Whether the process was killed as the system does when memory is short, or gave up for want
    of it."""
    if code == -signal.SIGABRT:
        with log_path.open("rb") as log:
            log.seek(max(0, log_path.stat().st_size - LAST_WORDS_BYTES))
            return OUT_OF_MEMORY_TEXT.search(log.read().decode(errors="replace")) is not None
    return code == -signal.SIGKILL


def _how(code: int, *, for_memory: bool) -> str:
    if code >= 0:
        return f"the trial's process ended with exit code {code}"
    name = signal.Signals(-code).name
    hints = {"SIGKILL": " (often: out of memory)", "SIGABRT": " (out of memory)"}
    return f"the trial's process was killed by {name}{hints[name] if for_memory else ''}"
