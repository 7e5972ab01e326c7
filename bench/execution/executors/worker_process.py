"""The parent's side of a worker process, and of the processes that it forks.

The pipes carry lines. The parent sends orders as JSON; the worker sends events
(`training/events.py`), `begun` when it has read a job, and `exit CODE` when a forked process has
ended.
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
SILENCE_SECONDS = 30.0  # without an event, after which the process's activity is checked
ENDING_SECONDS = 5.0
LOG_TAIL_BYTES = 4096
# Of TensorFlow, OpenMP, and XLA on the CPU (JAX).
FRAMEWORKS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "NPROC")
THREADS = (*FRAMEWORKS, "MKL_NUM_THREADS")


class Watch:
    """A watchdog that kills a process which exceeds its time limit or does nothing any more.

    `reason` says why it was killed; empty if it was not. Time during which this process itself was
    suspended, by Ctrl-Z or with the machine, does not count.
    """

    def __init__(self, pid: int, kill: Callable[[], None], limit: float | None = None) -> None:
        """`limit`: the seconds that a trial may take; None: not limited."""
        self.reason = ""
        self._activity, self._kill, self._limit = ActivityMonitor(pid), kill, limit
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
        """Note that the process has sent an event; a record starts the time of the next trial."""
        self._silent = 0.0
        self._activity.reset()
        if record:
            self._spent = 0.0

    def _watch(self) -> None:
        checked = time.monotonic()
        while not self._over.wait(STEP_SECONDS):
            now = time.monotonic()
            passed, checked = min(now - checked, 2 * STEP_SECONDS), now
            self._spent += passed
            self._silent += passed
            if self._silent >= SILENCE_SECONDS:
                self._silent = 0.0
                self._activity.update()
            if self._limit is not None and self._spent > self._limit:
                self.reason = (
                    f"the trial was killed: it took longer than {self._limit:g} s (--trial-timeout)"
                )
            elif self._activity.is_idle:
                minutes = self._activity.idle_seconds / 60
                self.reason = (
                    f"the trial's process was killed: it was suspended or hung, and used no "
                    f"processor time for {minutes:.0f} min"
                )
            if self.reason:
                self._kill()
                return


class WorkerProcess:
    """A worker process, started at once and then given orders.

    `gpu` is the GPU that it sees; "": whatever its framework finds. With `forks` it runs one job
    after another, each in a forked process; otherwise it runs one job.
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
        self._exit: int | None = None  # exit code of the process forked for the job
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `end`)
        started = str(time.monotonic())
        options = [*(["--fork"] if forks else []), *map(str, cores)]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.execution.worker", started, *options],
            stdin=subprocess.PIPE,  # closes when this process ends; the worker then ends, too
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**environment, **({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})},
            # Ctrl-C reaches only this process, which then ends the worker.
            start_new_session=True,
        )
        orders, output = self._process.stdin, self._process.stdout
        assert orders is not None  # set by PIPE
        assert output is not None
        self._orders, self._output = orders, output

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_reusable(self) -> bool:
        """Return whether the worker can run another job after the last one.

        It cannot if a forked process died before it read its job: the order is still in the pipe,
        and the next process would read it.
        """
        return self._begun and self._exit is not None and self._process.poll() is None

    def device_kind(self) -> str:
        """Wait until the framework is loaded and return its device, as `gpu`; "" if it died."""
        self._order({"device": "kind?"})
        with Watch(self.pid, self.kill):
            return self._output.readline().decode().strip()

    def run_job(
        self,
        job_path: Path,
        log_path: Path,
        limit: float | None = None,
        *,
        limit_each: bool = True,
    ) -> Generator[Event]:
        """Run a job and yield its events; the last is `Ended`.

        `limit`: the seconds that each trial may take, or the whole job without `limit_each`; None:
        not limited.
        """
        self._begun, self._exit = False, None
        self._order({"job": str(job_path.resolve()), "log": str(log_path.resolve())})
        end: Ended | None = None
        with Watch(self.pid, self.kill, limit) as watch:
            for line in self._output:
                text = line.decode(errors="replace").strip()
                watch.event(record=limit_each and text.startswith(RecordMade.__name__))
                if text == "begun":
                    self._begun = True
                elif text.startswith("exit "):
                    self._exit = int(text.removeprefix("exit "))
                    break
                else:
                    with suppress(ValueError):  # a line cut off when the process was killed
                        event = decode(text)
                        if not isinstance(event, Ended):
                            yield event
                            continue
                        end = event
                        if not self._forks:
                            self.stop()  # a framework out of memory may take long to exit
            code = self._process.wait() if self._exit is None else self._exit
        if code:
            # Add the output from before the worker had a log: it may have died while loading.
            self._errors.seek(0)
            with suppress(OSError), log_path.open("ab") as log:  # must not hide the exit code
                log.write(self._errors.read())
        if not self.is_reusable:
            self.end()
        yield end or make_ended(code, watch.reason, log_path)

    def stop(self) -> None:
        """Terminate the worker and what it forked, then kill them; its events end."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDING_SECONDS)
        self.kill()
        # A process blocked by a dead disk cannot be killed before the disk answers: do not wait.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDING_SECONDS)

    def kill(self) -> None:
        """Kill the worker and all processes that it started."""
        with suppress(ProcessLookupError, PermissionError):  # it has ended already
            os.killpg(self.pid, signal.SIGKILL)  # it leads its own session

    def end(self) -> None:
        """Stop the worker and close its pipes."""
        self.stop()
        for stream in (self._orders, self._output, self._errors):
            with suppress(BrokenPipeError):
                stream.close()

    def _order(self, order: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError):  # it died while loading
            self._orders.write(to_json(order).encode() + b"\n")
            self._orders.flush()


def worker_environment(settings: Settings, cores: int = 0) -> dict[str, str]:
    """Return the environment variables of a worker: this process's, and those for the settings.

    They are what a framework reads when it is imported. `cores`: the number of threads if the
    settings give none; 0: one for each core.
    """
    env = dict(os.environ)
    root = str(Path(__file__).resolve().parent.parent.parent.parent)
    env["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [env.get("PYTHONPATH")])])
    here = os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path)
    env.setdefault(IMPORT_PATH, here)  # on a cluster node it is set already, by the driver
    env["KERAS_BACKEND"] = usable_keras_backend()
    env.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    env = GROWING_MEMORY | env
    if settings.threads:
        env |= dict.fromkeys(THREADS, str(settings.threads))
    else:
        # Set the number explicitly, so that it is the one in the record.
        for name in FRAMEWORKS:
            env.setdefault(name, str(cores or available_cores()))
    # NumPy's products are small: with two threads waiting for each other, fitting probes took 30
    # times as long on a busy machine.
    env.setdefault("OPENBLAS_NUM_THREADS", "1")
    if settings.device == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = ""
        env["JAX_PLATFORMS"] = "cpu"
    if settings.deterministic:
        flags = [env.get("XLA_FLAGS", ""), DETERMINISTIC_XLA]
        env["XLA_FLAGS"] = " ".join(filter(None, flags))
        env.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return env


def make_ended(code: int, kill_reason: str, log_path: Path) -> Ended:
    """Return the `Ended` event of a process that sent none, from its exit code and log.

    `kill_reason`: why the parent killed it; empty if it did not. It was out of memory if the system
    killed it by SIGKILL, or if it aborted and the end of its log says so.
    """
    out_of_memory = not kill_reason and code == -signal.SIGKILL
    if not kill_reason and code == -signal.SIGABRT:
        with suppress(OSError), log_path.open("rb") as log:
            log.seek(max(0, log_path.stat().st_size - LOG_TAIL_BYTES))
            out_of_memory = (
                OUT_OF_MEMORY_TEXT.search(log.read().decode(errors="replace")) is not None
            )
    how = kill_reason or f"the trial's process ended with exit code {code}"
    if code < 0 and not kill_reason:
        name = signal.Signals(-code).name
        hints = {"SIGKILL": " (often: out of memory)", "SIGABRT": " (out of memory)"}
        how = f"the trial's process was killed by {name}{hints[name] if out_of_memory else ''}"
    return Ended(code, out_of_memory, f"{how}; its log is logs/{log_path.name}.")
