"""Runs each job in a process of its own: one that dies takes nothing with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.executors.base import WorkerDiedError
from bench.files import to_json, write_atomic
from bench.job import Job, Listener
from bench.records import structure
from bench.types import Epoch, Record, Trial

ENDING_SECONDS = 5.0


class LocalProcess:
    """A worker process on this machine."""

    def run(self, job: Job, listener: Listener) -> None:
        first = job.trials[0]
        folder = Path(job.folder)
        job_path = folder / "logs" / f"{first.backbone}-{first.key}.job.json"
        write_atomic(job_path, to_json(asdict(job)))
        log_path = folder / "logs" / f"{first.backbone}-{first.key}.log"
        recorded: set[str] = set()
        with log_path.open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "bench.worker", str(job_path)],
                stdin=subprocess.PIPE,  # its closing tells the worker that this process is gone
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(first.settings.device),
                # Ctrl-C reaches this process, which then ends the worker; not both at once.
                start_new_session=True,
            )
            try:
                assert worker.stdout is not None  # it was asked for
                for line in worker.stdout:
                    _hear(json.loads(line), job, listener, recorded)
                code = worker.wait()
            except BaseException:
                _end(worker)
                raise
        job_path.unlink(missing_ok=True)
        if len(recorded) < len(job.trials):
            raise WorkerDiedError(f"{_how(code)}; its log is logs/{log_path.name}.")


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


def _environment(device: str) -> dict[str, str]:
    env = dict(os.environ)
    root = str(Path(__file__).resolve().parent.parent.parent)
    env["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [env.get("PYTHONPATH")])])
    env.setdefault("KERAS_BACKEND", "tensorflow")
    env.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if device == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = ""
        env["JAX_PLATFORMS"] = "cpu"
    return env


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.terminate()
    try:
        worker.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def _how(code: int) -> str:
    if code >= 0:
        return f"the trial's process ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = " (often: out of memory)" if -code == signal.SIGKILL else ""
    return f"the trial's process was killed by {name}{hint}"
