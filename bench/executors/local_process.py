"""Runs each job in a process of its own: one that dies takes nothing with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.environment import available_cores
from bench.executors.base import WorkerDiedError
from bench.files import to_json, write_atomic
from bench.job import Blueprint, Job, Listener
from bench.records import structure
from bench.types import Epoch, Record, Trial

ENDING_SECONDS = 5.0
DETERMINISTIC_XLA = "--xla_gpu_deterministic_ops=true"


class LocalProcess:
    """Worker processes on this machine, one a job."""

    def __init__(self, device: str, *, deterministic: bool = False) -> None:
        self._environment = _environment(device, deterministic=deterministic)
        self._warm: _Worker | None = None

    def warm_up(self) -> None:
        """Start the next worker now: it loads its framework while the data are still read."""
        self._warm = self._warm or _Worker(self._environment)

    def build_ahead(self, blueprint: Blueprint | None) -> None:
        """Let the next worker build this network, if any, while the images are still decoded."""
        if blueprint is None:
            return
        self.warm_up()
        assert self._warm is not None  # it was just started, if it had not been
        self._warm.tell({"build": asdict(blueprint)})

    def close(self) -> None:
        """End a worker that was started and not needed."""
        if self._warm is not None:
            self._warm.end()
            self._warm = None

    def run(self, job: Job, listener: Listener) -> None:
        first = job.trials[0]
        logs = Path(job.folder) / "logs"
        name = f"{first.backbone}-{first.key}" if job.task == "train" else "measuring"
        job_path, log_path = logs / f"{name}.job.json", logs / f"{name}.log"
        write_atomic(job_path, to_json(asdict(job)))
        self.warm_up()
        worker, self._warm = self._warm, None
        assert worker is not None  # it was just started, if it had not been
        recorded: set[str] = set()
        try:
            for event in worker.work(job_path, log_path):
                _hear(event, job, listener, recorded)
            code = worker.wait(log_path)
        except BaseException:
            worker.end()
            raise
        job_path.unlink(missing_ok=True)
        if len(recorded) < len(job.trials):
            raise WorkerDiedError(f"{_how(code)}; its log is logs/{log_path.name}.")


class _Worker:
    """One process of `bench.worker`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed when the worker has ended)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker"],
            stdin=subprocess.PIPE,  # its closing tells the worker that this process is gone
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            # Ctrl-C reaches this process, which then ends the worker; not both at once.
            start_new_session=True,
        )

    def work(self, job_path: Path, log_path: Path) -> Iterator[dict[str, Any]]:
        """Give it its job, and hear its events until it ends."""
        self.tell({"job": str(job_path.resolve()), "log": str(log_path.resolve())})
        assert self._process.stdout is not None  # it was asked for
        for line in self._process.stdout:
            yield json.loads(line)

    def tell(self, order: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None  # it was asked for
        with suppress(BrokenPipeError):  # it died while it was loading
            self._process.stdin.write(to_json(order).encode() + b"\n")
            self._process.stdin.flush()

    def wait(self, log_path: Path) -> int:
        code = self._process.wait()
        if code:
            # What it said before it had a log: all there is, where it died while it was loading.
            self._errors.seek(0)
            with log_path.open("ab") as log:
                log.write(self._errors.read())
        self._close()
        return code

    def end(self) -> None:
        """End it, politely first."""
        self._process.terminate()
        try:
            self._process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def _hear(event: dict[str, Any], job: Job, listener: Listener, recorded: set[str]) -> None:
    trials: dict[str, Trial] = {trial.key: trial for trial in job.trials}
    kind = event["event"]
    if kind == "stage":
        listener.stage(trials[event["key"]], event["stage"], event["done"], event["total"])
    elif kind == "epoch":
        epoch = structure(Epoch, event["epoch"])
        trial = trials[event["key"]]
        listener.epoch(trial, event["phase"], event["of"], event["number"], epoch)
    elif kind == "note":
        listener.note(event["text"])
    elif kind == "record":
        record = structure(Record, event["record"])
        recorded.add(record.trial.key)
        listener.record(record)


def _environment(device: str, *, deterministic: bool) -> dict[str, str]:
    env = dict(os.environ)
    root = str(Path(__file__).resolve().parent.parent.parent)
    env["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [env.get("PYTHONPATH")])])
    env.setdefault("KERAS_BACKEND", "tensorflow")
    env.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # The threads are those that the record names, whatever a framework would guess.
    env.setdefault("TF_NUM_INTRAOP_THREADS", str(available_cores()))
    env.setdefault("OMP_NUM_THREADS", str(available_cores()))
    if device == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = ""
        env["JAX_PLATFORMS"] = "cpu"
    if deterministic:
        # Read when a framework starts, too early for the backend's own file.
        flags = [env.get("XLA_FLAGS", ""), DETERMINISTIC_XLA]
        env["XLA_FLAGS"] = " ".join(filter(None, flags))
        env.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return env


def _how(code: int) -> str:
    if code >= 0:
        return f"the trial's process ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = " (often: out of memory)" if -code == signal.SIGKILL else ""
    return f"the trial's process was killed by {name}{hint}"
