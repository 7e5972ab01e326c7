"""Run each job in a separate process on this machine, so that its death loses nothing else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.errors import StoppedError, WorkerDiedError
from bench.execution.executors import EXECUTORS, Executor, ExecutorKind, follow
from bench.execution.executors.devices import has_no_gpu, reserve_cores, visible_gpus
from bench.execution.executors.worker_process import WorkerProcess, worker_environment
from bench.execution.request import RunRequest
from bench.system.files import safe_name, temporary_sibling
from bench.training.events import Event, Listener
from bench.training.job import Job, write_job
from bench.types import Settings


class LocalProcess(Executor):
    """Runs jobs in worker processes on this machine; with several GPUs, one job on each.

    Without a GPU, one process loads the framework once and forks a worker for each job. With a GPU,
    each worker loads it, since GPU drivers may not survive a fork.
    """

    def __init__(
        self, settings: Settings, trial_timeout: float | None = None, *, cores: int = 0
    ) -> None:
        """`trial_timeout`: seconds after which a trial is killed; None: never. `cores`: how many
        cores a worker is bound to if the settings give no number of threads; 0: not bound."""
        self._trial_timeout = trial_timeout
        self._environment = worker_environment(settings, cores)
        self._gpus = () if settings.device == "cpu" else visible_gpus()
        no_gpu = settings.device == "cpu" or has_no_gpu()
        self._forks = sys.platform == "linux" and no_gpu
        # Free GPUs and cores. GPU "": the framework itself finds the only GPU, or none.
        gpus = self._gpus if len(self._gpus) > 1 else ("",)
        self._cores = reserve_cores(settings.threads or cores, len(gpus))
        self._free = list(zip(gpus, self._cores.sets, strict=True))
        self._warm: WorkerProcess | None = None
        self._running: list[WorkerProcess] = []
        self._closed = False
        self._lock = threading.RLock()

    @property
    def slots(self) -> int:
        """Return the number of GPUs, or 1 if the framework cannot use them."""
        if len(self._gpus) < 2:
            return 1
        return len(self._gpus) if self._warm_worker().device_kind() == "gpu" else 1

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(filter(None, [self._cores.note]))

    def warm_up(self) -> None:
        self._warm_worker()

    def close(self) -> None:
        """End the idle worker and those that run a job, and release the cores."""
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
        """Run a job and yield its events; the last is `Ended`."""
        first = job.trials[0]
        logs = Path(job.folder) / "logs"
        each = job.task != "measure"
        name = f"{safe_name(first.backbone)}-{first.key}" if each else "measuring"
        job_path, log_path = temporary_sibling(logs / f"{name}.job.json"), logs / f"{name}.log"
        # Measuring handles all trials together, so it may take the time of all of them.
        limit = self._trial_timeout and self._trial_timeout * (1 if each else len(job.trials))
        write_job(job_path, job)
        try:
            with self._worker() as worker:
                yield from worker.run_job(job_path, log_path, limit, limit_each=each)
        finally:
            job_path.unlink(missing_ok=True)

    def _warm_worker(self) -> WorkerProcess:
        """Return the idle worker; start one if there is none."""
        with self._lock:
            if self._closed:
                raise StoppedError("no more workers are started.")
            if self._warm is None:
                gpu, cores = self._free.pop(0)
                self._warm = WorkerProcess(self._environment, cores, gpu, forks=self._forks)
            return self._warm

    @contextmanager
    def _worker(self) -> Iterator[WorkerProcess]:
        """Take the idle worker or start one; keep it for the next job if it can be reused."""
        with self._lock:
            worker, self._warm = self._warm_worker(), None
            self._running.append(worker)
        try:
            yield worker
        except BaseException:
            worker.end()
            raise
        finally:
            with self._lock:
                self._running.remove(worker)
                if worker.is_reusable and not self._closed:
                    self._warm = worker
                else:
                    self._free.append((worker.gpu, worker.cores))


def measure_locally(settings: Settings, request: RunRequest, job: Job, listener: Listener) -> None:
    """Run a measuring job on this machine, for executors that train on other machines."""
    with closing(LocalProcess(settings, request.trial_timeout)) as process:
        process.run(job, listener)


EXECUTORS.add(
    ExecutorKind(
        "local",
        "processes on this machine, one at a time or one a GPU",
        lambda settings, request: LocalProcess(settings, request.trial_timeout),
    )
)
