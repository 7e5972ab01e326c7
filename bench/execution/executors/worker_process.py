"""One worker process, as its parent sees it; or one and those that it forks.

Its pipes carry lines: orders as JSON, and back events (`training/events.py`), with `begun` once a
job was read and `exit CODE` once a forked process has ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from bench.system.environment import available_cores
from bench.system.files import to_json
from bench.system.frameworks import DETERMINISTIC_XLA, GROWING_MEMORY, usable_keras_backend
from bench.system.locks import ActivityMonitor
from bench.system.memory import OUT_OF_MEMORY_TEXT
from bench.system.plugin_files import IMPORT_PATH
from bench.training.events import Ended, Event, RecordMade, decode
from bench.types import Settings

STEP_SECONDS = 1.0
LOOK_SECONDS = 30.0  # without an event, after which the process's activity is looked at
ENDING_SECONDS = 5.0
LAST_WORDS_BYTES = 4096
# TensorFlow's, OpenMP's and those of XLA on the processor, which is JAX there.
FRAMEWORKS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "NPROC")
THREADS = (*FRAMEWORKS, "MKL_NUM_THREADS")


class Watch:
    """Watches one process while it does a job; `reason` says why it was ended, if it was.

    Seconds in which this process did not run itself, stopped with Ctrl-Z or asleep with the
    machine, do not count.
    """

    def __init__(self, pid: int, kill: Callable[[], None], limit: float | None = None) -> None:
        """`limit`: the seconds that a trial may take, if they are limited."""
        self.reason = ""
        self._pulse, self._kill, self._limit = ActivityMonitor(pid), kill, limit
        self._spent = 0.0  # on this trial
        self._silent = 0.0  # since the last event
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def event(self, *, record: bool) -> None:
        """Note that the process has sent an event; with a record it begins the next trial."""
        self._silent = 0.0
        self._pulse.reset()
        if record:
            self._spent = 0.0

    def _watch(self) -> None:
        looked = time.monotonic()
        while not self._over.wait(STEP_SECONDS):
            now = time.monotonic()
            passed, looked = min(now - looked, 2 * STEP_SECONDS), now
            self._spent += passed
            self._silent += passed
            if self._silent >= LOOK_SECONDS:
                self._silent = 0.0
                self._pulse.update()
            if self._limit is not None and self._spent > self._limit:
                self.reason = (
                    f"the trial was ended: it took longer than {self._limit:g} s (--trial-timeout)"
                )
            elif self._pulse.is_idle:
                minutes = self._pulse.idle_seconds / 60
                self.reason = (
                    f"the trial's process was ended: it was stopped, or waited for something "
                    f"that did not come, and used no processor time for {minutes:.0f} min"
                )
            if self.reason:
                self._kill()
                return


class WorkerProcess:
    """A process that is started at once and then given orders.

    `gpu` is the one that it sees, "" for what its framework finds by itself. If it `forks`, it does
    one job after another, each in a process that it forks, and `goes_on` once one is done.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        cores: tuple[int, ...],
        gpu: str,
        *,
        forks: bool = False,
    ) -> None:
        self.gpu, self.cores, self._forks = gpu, cores, forks
        self._begun = False  # whether the job was read
        self._exit: int | None = None  # of the process that was forked for it
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed when the worker has ended)
        started = str(time.monotonic())
        options = [*(["--fork"] if forks else []), *map(str, cores)]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.execution.worker", started, *options],
            stdin=subprocess.PIPE,  # closed when this process ends, which the worker notices
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**environment, **({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})},
            # Ctrl-C reaches this process, which then ends the worker; not both at once.
            start_new_session=True,
        )
        orders, output = self._process.stdin, self._process.stdout
        assert orders is not None  # both were asked for
        assert output is not None
        self._orders, self._output = orders, output

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def goes_on(self) -> bool:
        """Whether it will do another job, now that one is done.

        Not where a process died before it read its job: the order is still in the pipe, and the
        next process would read it.
        """
        return self._begun and self._exit is not None and self._process.poll() is None

    def device_kind(self) -> str:
        """Return what its framework computes on, once that is loaded; "" where it died."""
        self._order({"device": "kind?"})
        with Watch(self.pid, self.kill):
            return self._output.readline().decode().strip()

    def work(
        self,
        job_path: Path,
        log_path: Path,
        limit: float | None = None,
        *,
        limits_each: bool = True,
    ) -> Generator[Event]:
        """Give it its job and yield its events, the last of which says how it ended.

        `limit`: the seconds that the job may take, or each of its records, if they are limited.
        """
        self._begun, self._exit = False, None
        self._order({"job": str(job_path.resolve()), "log": str(log_path.resolve())})
        end: Ended | None = None
        with Watch(self.pid, self.kill, limit) as watch:
            for line in self._output:
                text = line.decode(errors="replace").strip()
                watch.event(record=limits_each and text.startswith(RecordMade.__name__))
                if text == "begun":
                    self._begun = True
                elif text.startswith("exit "):
                    self._exit = int(text.removeprefix("exit "))
                    break
                else:
                    with suppress(ValueError):  # it was killed while it wrote that
                        event = decode(text)
                        if not isinstance(event, Ended):
                            yield event
                            continue
                        end = event
                        if not self._forks:
                            self.stop()  # a framework without memory may take long to leave
            code = self._process.wait() if self._exit is None else self._exit
        if code:
            # What it printed before it had a log, as where it died while it was loading.
            self._errors.seek(0)
            with suppress(OSError), log_path.open("ab") as log:  # the exit code is more important
                log.write(self._errors.read())
        if not self.goes_on:
            self.end()
        yield end or how_it_ended(code, watch.reason, log_path)

    def stop(self) -> None:
        """End it, politely first, and what it forked; who reads its events sees it end."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDING_SECONDS)
        self.kill()
        # A process that waits for a dead disk cannot even be killed; it ends when that answers.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDING_SECONDS)

    def kill(self) -> None:
        """End it and all that it started at once."""
        with suppress(ProcessLookupError, PermissionError):  # it has ended
            os.killpg(self.pid, signal.SIGKILL)  # it leads a session of its own

    def end(self) -> None:
        """Stop it and close its pipes."""
        self.stop()
        for stream in (self._orders, self._output, self._errors):
            with suppress(BrokenPipeError):
                stream.close()

    def _order(self, order: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError):  # it died while it was loading
            self._orders.write(to_json(order).encode() + b"\n")
            self._orders.flush()


def worker_environment(settings: Settings, cores: int = 0) -> dict[str, str]:
    """Return this process's variables, with those that the settings ask for: what a framework
    reads when it is imported, too early for the backend's own file. `cores`: of the worker, where
    the settings name no number of threads (0: all)."""
    env = dict(os.environ)
    root = str(Path(__file__).resolve().parent.parent.parent.parent)
    env["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [env.get("PYTHONPATH")])])
    here = os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path)
    env.setdefault(IMPORT_PATH, here)  # a node of a cluster was given that of who submitted to it
    env["KERAS_BACKEND"] = usable_keras_backend()
    env.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    env = GROWING_MEMORY | env
    if settings.threads:
        env |= dict.fromkeys(THREADS, str(settings.threads))
    else:
        # The threads are those that the record names, whatever a framework would guess.
        for name in FRAMEWORKS:
            env.setdefault(name, str(cores or available_cores()))
    # NumPy's own products are small: with two threads that wait for each other, to fit probes took
    # 30 times as long while other processes were busy.
    env.setdefault("OPENBLAS_NUM_THREADS", "1")
    if settings.device == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = ""
        env["JAX_PLATFORMS"] = "cpu"
    if settings.deterministic:
        flags = [env.get("XLA_FLAGS", ""), DETERMINISTIC_XLA]
        env["XLA_FLAGS"] = " ".join(filter(None, flags))
        env.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return env


def how_it_ended(code: int, ended_for: str, log_path: Path) -> Ended:
    """Say how a job's process ended, from its exit code, its log and why it was ended, if it was.

    Memory was short where the system killed it as it does then, or where it aborted and its last
    words say so.
    """
    out_of_memory = not ended_for and code == -signal.SIGKILL
    if not ended_for and code == -signal.SIGABRT:
        with suppress(OSError), log_path.open("rb") as log:
            log.seek(max(0, log_path.stat().st_size - LAST_WORDS_BYTES))
            out_of_memory = (
                OUT_OF_MEMORY_TEXT.search(log.read().decode(errors="replace")) is not None
            )
    how = ended_for or f"the trial's process ended with exit code {code}"
    if code < 0 and not ended_for:
        name = signal.Signals(-code).name
        hints = {"SIGKILL": " (often: out of memory)", "SIGABRT": " (out of memory)"}
        how = f"the trial's process was killed by {name}{hints[name] if out_of_memory else ''}"
    return Ended(code, out_of_memory, f"{how}; its log is logs/{log_path.name}.")
