"""Run jobs on a Slurm cluster, or on submitit's `local` and `debug` clusters.

submitit submits and cancels jobs. A job's input and results are in its folder (`spool.py`), and
`node.py` runs it, so it does not need the process that submitted it: after `--detach`, or if that
process was killed, the same command follows the jobs that still run. All models are measured on
this machine.
"""

from __future__ import annotations

import logging
import math
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.errors import (
    BenchError,
    DetachedError,
    NodeLostError,
    StoppedError,
    UsageError,
    one_line,
)
from bench.execution.executors import (
    EXECUTORS,
    MAX_JOBS,
    Executor,
    ExecutorKind,
    Resources,
    follow,
    resolve_resources,
)
from bench.execution.executors.contents import Offer
from bench.execution.executors.local_process import measure_locally
from bench.execution.executors.node import Order, Sent, SentFile, receive
from bench.execution.executors.site_file import read_site
from bench.execution.executors.spool import (
    ORDER,
    Spool,
    find_earlier,
    put_content,
    remove_unused_contents,
    work,
)
from bench.execution.executors.worker_process import worker_environment
from bench.execution.request import RunRequest
from bench.system.environment import available_cores
from bench.system.files import safe_name, write_atomic
from bench.system.plugin_files import IMPORT_PATH
from bench.training.events import Ended, Listener, RecordMade, Waiting
from bench.training.job import Job
from bench.types import Settings

COMMANDS = ("sbatch", "srun", "sacct", "scancel")  # called by submitit
POLL_SECONDS = 2.0
EXIT_SECONDS = 10.0  # for a job's process to exit after its last event
TIMES_ESTIMATE = 10  # time limit over estimated time of a job, if the site file has no limit
MIN_MINUTES = 60
PASSED_ON = ("partition", "account", "qos", "constraint", "gres", "mem")  # options of the site file


class SlurmCluster(Executor):
    """Runs jobs on a cluster that this machine can submit to and shares a disk with."""

    def __init__(self, settings: Settings, request: RunRequest) -> None:
        self._settings, self._request, self._site = settings, request, read_site(request.site)
        site, cluster = self._site, self._site.cluster
        of_site = Resources(site.cpus, site.gpus or "gpu" in (site.gres or ""))
        each = resolve_resources(settings, request.per_trial, of_site)
        self._cpus, self._gpus = each.cpus, math.ceil(each.gpus)
        if self._gpus != each.gpus:
            raise UsageError(f"--per-trial {each}: Slurm grants whole GPUs.")
        if cluster == "debug" and request.detach:
            raise UsageError(
                f'--detach: jobs of cluster = "debug" run in this process; take it out of '
                f"{request.site} or leave --detach out."
            )
        missing = [name for name in COMMANDS if shutil.which(name) is None]
        if cluster == "slurm" and missing:
            raise BenchError(
                f"this machine cannot submit to Slurm: it has no {', no '.join(missing)}; run the "
                f'command on a login node, or try it with cluster = "local" in a --site file.'
            )
        import submitit

        logging.getLogger("submitit").setLevel(logging.CRITICAL)  # its log would spoil the display
        self._submitit: Any = submitit
        self._jobs: dict[Path, Any] = {}  # submitit's job objects, by folder
        self._readers: Counter[Path] = Counter()  # threads that read a job's folder
        self._taken: set[tuple[Path, str]] = set()  # folder and trial key, read to the end
        self._offers: dict[Path, Offer] = {}  # by the run's folder
        self._closed = threading.Event()
        self._changing = threading.Lock()

    @property
    def slots(self) -> int:
        one_machine = {"debug": 1, "local": max(1, available_cores() // self._cpus)}
        return one_machine.get(self._site.cluster, MAX_JOBS)

    @property
    def capacity(self) -> int:
        return self._site.jobs

    @property
    def notes(self) -> tuple[str, ...]:
        where = "in Slurm jobs" if self._site.cluster == "slurm" else "in jobs on this machine"
        partition = f" (partition {self._site.partition})" if self._site.partition else ""
        return (
            f"trained {where}{partition}, {self._cpus} CPUs and {self._gpus} GPUs a job; models "
            f"are measured on this machine",
        )

    def run(self, job: Job, listener: Listener) -> None:
        if job.task == "measure":
            measure_locally(self._settings, self._request, job, listener)
            return
        run = Path(job.folder)
        self._offers.setdefault(run, Offer(partial(put_content, run)))
        with self._changing:
            parts = list(find_earlier(job, self._site.cluster, self._taken))
            self._readers.update(spool.folder for spool, _ in parts)
        covered = {trial.key for _, part in parts for trial in part.trials}
        if left := tuple(trial for trial in job.trials if trial.key not in covered):
            rest = replace(job, trials=left)
            parts.append((self._submit(rest), rest))
        for spool, part in parts:
            try:
                follow(receive(self._read(spool, part), part), part, listener)
            finally:
                self._taken.update((spool.folder, trial.key) for trial in part.trials)
                if spool.over or not self._request.detach:
                    self._finish(spool)

    def close(self) -> None:
        """Cancel the jobs that run or wait, unless the run is detached."""
        self._closed.set()
        for folder in [] if self._request.detach else list(self._jobs):
            self._finish(Spool(folder))
        for run in self._offers:
            remove_unused_contents(run)

    def _submit(self, job: Job) -> Spool:
        """Submit a job; return its folder."""
        request, site, offer = self._request, self._site, self._offers[Path(job.folder)]
        offer.offer_weights(job.weights)
        images = offer.offer_images(job) if request.ship_data else ()
        order = Order(job, self._cpus, self._gpus, request.trial_timeout, images)
        minutes = max(MIN_MINUTES, math.ceil(TIMES_ESTIMATE * job.estimated_seconds / 60))
        with self._changing:
            if self._closed.is_set():
                raise StoppedError("no more jobs are submitted.")
            spool = Spool.create(order, site.cluster)
            try:
                executor = self._submitit.AutoExecutor(spool.folder, cluster=site.cluster)
                executor.update_parameters(
                    name=f"bench-{safe_name(job.trials[0].backbone)}",
                    timeout_min=site.minutes or minutes,
                    cpus_per_task=self._cpus,
                    gpus_per_node=int(Resources.parse(request.per_trial).gpus) or site.gpus or None,
                    slurm_setup=list(site.setup),
                    slurm_additional_parameters=dict(site.sbatch),
                    **{f"slurm_{name}": getattr(site, name) for name in PASSED_ON},
                )
                found = worker_environment(job.trials[0].settings)
                paths = {name: found[name] for name in ("PYTHONPATH", IMPORT_PATH)}
                with self._submitit.core.utils.environment_variables(**paths):
                    submitted = executor.submit(work, str(spool.folder / ORDER))
            except BaseException as error:
                spool.remove()
                if isinstance(error, self._submitit.core.utils.FailedJobError):
                    raise BenchError(f"Slurm refused a job: {one_line(error)}") from error
                raise
            self._jobs[spool.folder] = submitted
        return spool

    def _submitted_job(self, spool: Spool) -> Any:
        """Return submitit's job object, also for a job that another process submitted."""
        if spool.folder not in self._jobs:
            name, folder = spool.job_id, spool.folder
            if self._site.cluster == "local":
                controller = _Controller(int(name), folder)
                found = self._submitit.LocalJob(folder, name, process=controller)
            else:
                found = self._submitit.SlurmJob(folder, name)
            self._jobs[folder] = found
        return self._jobs[spool.folder]

    def _read(self, spool: Spool, job: Job) -> Iterator[Sent]:
        """Yield the events and files of these trials from a job's node until the job is over.

        `NodeLostError`: it ended without a result. `DetachedError`: this command does not wait.
        """
        new = spool.folder in self._jobs
        submitted, ours = self._submitted_job(spool), {trial.key for trial in job.trials}
        if self._request.detach and (new or not (spool.ended or submitted.done())):
            raise DetachedError("its job goes on.")
        others = {trial.key for trial in spool.order().job.trials} - ours
        yield Waiting(f"submitted as job {submitted.job_id}")
        while True:
            is_done = submitted.done()  # asked before reading, so that nothing is missed
            for sent in spool.read_new():
                if isinstance(sent, Ended):
                    spool.over = True
                    # The folder cannot be removed before submitit has written its result.
                    deadline = time.monotonic() + EXIT_SECONDS
                    while not submitted.done() and time.monotonic() < deadline:
                        time.sleep(POLL_SECONDS / 10)
                if not _belongs_to(sent, others):
                    yield sent
            if spool.over:
                return
            if self._closed.is_set():
                raise StoppedError("the executor was closed while a job ran.")
            if is_done:
                spool.over = True
                yield self._unreported_end(spool, submitted, job)
                return
            self._closed.wait(POLL_SECONDS)

    def _unreported_end(self, spool: Spool, submitted: Any, job: Job) -> Ended:
        """Return the end of a job that was killed for memory; raise `NodeLostError` for others."""
        printed = submitted.stderr() or ""
        log = Path(job.folder) / "logs" / f"{spool.folder.name}.log"
        write_atomic(log, printed)
        last = " ".join((printed.strip().splitlines() or [""])[-1].split())[:300]
        state = f"{submitted.state}: {last}" if last else submitted.state
        how = f"job {submitted.job_id} ended without a result ({state}); see logs/{log.name}."
        if submitted.state.startswith("OUT_OF_ME"):
            return Ended(-signal.SIGKILL, True, how)
        raise NodeLostError(how)

    def _finish(self, spool: Spool) -> None:
        """Remove a job's folder and cancel the job if it runs, unless another thread reads it."""
        with self._changing:
            self._readers[spool.folder] -= 1
            if self._readers[spool.folder] > 0 and not self._closed.is_set():
                return
        submitted = self._jobs.pop(spool.folder, None)  # None: another thread has finished it
        if submitted is not None and not spool.over:
            with suppress(OSError):
                submitted.cancel(check=False)
        spool.remove()


def _belongs_to(sent: Sent, keys: set[str]) -> bool:
    """Return whether this is a record, arrays or weights of one of these trials."""
    if isinstance(sent, SentFile):
        return Path(sent.path).stem in keys
    return isinstance(sent, RecordMade) and sent.record.trial.key in keys


class _Controller:
    """Controls a `local` job that another process started, in place of submitit's `Popen`.

    The job's process ID may have been reused since: the command line tells.
    """

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid, self._folder = pid, str(folder)

    def poll(self) -> int | None:
        """Return None while the job's process runs, then 0."""
        import psutil

        with suppress(psutil.Error):
            if self._folder in psutil.Process(self._pid).cmdline():
                return None
        return 0

    def send_signal(self, number: int) -> None:
        """Send the job's process a signal if it runs."""
        import psutil

        if self.poll() is None:
            with suppress(psutil.Error):
                psutil.Process(self._pid).send_signal(number)


EXECUTORS.add(
    ExecutorKind(
        "slurm",
        "the jobs of a Slurm cluster, described by --site FILE",
        SlurmCluster,
        modules=("submitit",),
        install="backbone-bench[slurm]",
        takes=("--per-trial", "--ship-data", "--site", "--detach"),
    )
)
