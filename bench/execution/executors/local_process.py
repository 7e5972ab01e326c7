"""Runs each job in a process of its own: one that dies takes nothing with it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.errors import StoppedError, WorkerDiedError
from bench.execution.executors import EXECUTORS, Executor, ExecutorKind, follow
from bench.execution.executors.devices import can_be_no_gpu, reserve, visible_gpus
from bench.execution.executors.worker_process import WorkerProcess, worker_environment
from bench.execution.request import RunRequest
from bench.system.files import safe_name, temporary_sibling
from bench.training.events import Event, Listener
from bench.training.job import Job, write_job
from bench.types import Settings


class LocalProcess(Executor):
    """Worker processes on this machine, one a job; where there are several GPUs, a job on each.

    Without a GPU, one process loads the framework once and forks the workers. With one it does
    not: the driver of a GPU is not known to survive a fork.
    """

    def __init__(
        self, settings: Settings, trial_timeout: float | None = None, *, cores: int = 0
    ) -> None:
        """`trial_timeout`: the seconds after which a trial is ended, if any; `cores`: to which a
        worker is bound where the settings name no number of threads (0: to none)."""
        self._trial_timeout = trial_timeout
        self._environment = worker_environment(settings, cores)
        self._gpus = () if settings.device == "cpu" else visible_gpus()
        no_gpu = settings.device == "cpu" or can_be_no_gpu()
        self._forks = sys.platform == "linux" and no_gpu
        # GPUs and cores without a worker. "": the framework finds a single GPU, or none, itself.
        gpus = self._gpus if len(self._gpus) > 1 else ("",)
        self._cores = reserve(settings.threads or cores, len(gpus))
        self._free = list(zip(gpus, self._cores.sets, strict=True))
        self._warm: WorkerProcess | None = None
        self._running: list[WorkerProcess] = []
        self._closed = False
        self._lock = threading.RLock()

    @property
    def slots(self) -> int:
        """Return how many GPUs there are, if a worker's framework says that it can use them."""
        if len(self._gpus) < 2:
            return 1
        return len(self._gpus) if self._warmed().device_kind() == "gpu" else 1

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(filter(None, [self._cores.note]))

    def warm_up(self) -> None:
        self._warmed()

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
        try:
            with closing(self.events(job)) as events:
                follow(events, job, listener)
        except WorkerDiedError as error:
            if self._closed:
                raise StoppedError("the executor was closed while a job ran.") from error
            raise

    def events(self, job: Job) -> Generator[Event]:
        """Run a job and yield its events, the last of which says how it ended."""
        first = job.trials[0]
        logs = Path(job.folder) / "logs"
        each = job.task != "measure"
        name = f"{safe_name(first.backbone)}-{first.key}" if each else "measuring"
        job_path, log_path = temporary_sibling(logs / f"{name}.job.json"), logs / f"{name}.log"
        # All trials are measured together: what one may take, as often as there are trials.
        limit = self._trial_timeout and self._trial_timeout * (1 if each else len(job.trials))
        write_job(job_path, job)
        try:
            with self._worker() as worker:
                yield from worker.work(job_path, log_path, limit, limits_each=each)
        finally:
            job_path.unlink(missing_ok=True)

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
        """Take the worker that was started, or start one; afterwards it is ready for the next job,
        or ended and its GPU free again."""
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


def measure_here(settings: Settings, request: RunRequest, job: Job, listener: Listener) -> None:
    """Run a measuring job on this machine, for executors that train on others."""
    with closing(LocalProcess(settings, request.trial_timeout)) as process:
        process.run(job, listener)


EXECUTORS.add(
    ExecutorKind(
        "local",
        "processes on this machine, one at a time or one a GPU",
        lambda settings, request: LocalProcess(settings, request.trial_timeout),
    )
)
