"""The worker process, which trains and measures: `python -m bench.execution.worker`.

An executor starts it with its start time, by the monotonic clock that all processes share, and the
cores that it may use, if not all. It loads Keras at once. Orders arrive on its standard input: to
report the kind of device, and then to run a job, given as a file with a log file for it. Events go
to its standard output, one per line (`training/events.py`). Both are taken away before any other
code runs: whatever else is printed goes to the log, and whatever else reads standard input finds it
empty. When the parent ends, the pipe of the orders closes and the worker ends at once.

Building the first network while the parent still decodes images saved no time: a run without it
took 0.76 to 1.00 of the time, on two cores.

With `--fork`, Keras is loaded once for many jobs: the process computes nothing itself, but forks a
process for each job and reports its exit code.

The forkserver of `multiprocessing` is no replacement: its processes share the parent's session, so
Ctrl-C reaches them and they cannot be killed as a group, and they outlive the parent.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
import time
import traceback
import warnings
from itertools import count
from pathlib import Path
from typing import Any, NoReturn, TextIO

from bench.errors import OutOfMemoryError, PluginError
from bench.registry import BACKBONES, load_plugins
from bench.system import locks
from bench.system.frameworks import UNUSED_BY_WORKERS, disable_gc, hide_packages
from bench.system.plugin_files import IMPORT_PATH
from bench.training.accounting import ImportTime
from bench.training.events import Ended, Event, StageProgress, Waiting, encode
from bench.training.job import read_job

PROGRESS_SECONDS = 0.1
MEMORY_PROCESSES = 2  # models whose memory is measured at the same time, one process each


class _Orders:
    """Reads the parent's orders, one JSON line each.

    They are taken away from standard input, so that a plugin that reads it gets none of them.
    """

    def __init__(self) -> None:
        # Unbuffered, so that a forked process reads no more than its own orders.
        self._pipe = os.fdopen(os.dup(0), "rb", buffering=0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    def end_with_parent(self) -> None:
        """Start a thread that ends this process as soon as the parent is gone."""
        threading.Thread(target=self._wait_for_parent_end, daemon=True).start()

    def wait(self) -> None:
        """Wait until there is an order, without reading it."""
        if not self._poll(select.POLLIN) & select.POLLIN:
            os._exit(1)

    def next(self) -> dict[str, Any]:
        """Return the next order."""
        if not (line := self._pipe.readline()):
            os._exit(1)  # the parent is gone, or needs no worker after all
        order: dict[str, Any] = json.loads(line)
        return order

    def _wait_for_parent_end(self) -> None:
        self._poll(0)  # returns only when the other end of the pipe is closed
        os._exit(1)

    def _poll(self, events: int) -> int:
        poll = select.poll()
        poll.register(self._pipe, events)
        ((_, happened),) = poll.poll()
        return happened


class _EventPipe:
    """Sends events to the parent; progress at most every `PROGRESS_SECONDS`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._sent = 0.0  # monotonic time of the last progress event
        self._stage = ("", "")  # its trial key and stage

    def __call__(self, event: Event) -> None:
        """Send an event."""
        if isinstance(event, StageProgress):
            now, stage = time.monotonic(), (event.trial.key, event.stage)
            same, self._stage = stage == self._stage, stage
            between = event.done and event.done != event.total
            if same and between and now - self._sent < PROGRESS_SECONDS:
                return
            self._sent = now
        self.line(encode(event))

    def line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def main() -> None:
    """Run one job of the parent, or with `--fork` any number of them, one after another."""
    started, *options = sys.argv[1:]
    forks, cores = "--fork" in options, [word for word in options if word != "--fork"]
    parents = list(filter(None, os.environ.get(IMPORT_PATH, "").split(os.pathsep)))
    sys.path[:] = dict.fromkeys([*parents, *sys.path])
    orders = _Orders()
    orders.end_with_parent()
    if cores:
        # Set before a framework starts its threads, so that all of them run on these cores.
        os.sched_setaffinity(0, map(int, cores))
    pipe = _EventPipe(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    locks.report = lambda text: pipe(Waiting(text))
    # Load Keras and its framework; the parent never does.
    with hide_packages(*UNUSED_BY_WORKERS), disable_gc():
        import bench.training.trial  # noqa: F401

    seconds = time.monotonic() - float(started)
    if not forks:
        _run_job(orders, pipe, ImportTime(seconds))
        return
    # Forking is safe: the thread that watches the parent holds no lock.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    for number in count():
        orders.wait()
        process = os.fork()
        if process == 0:
            orders.end_with_parent()  # threads are not forked
            _run_job_and_exit(orders, pipe, ImportTime(seconds, reused=number > 0))
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        # The first line break ends a line that the process was writing when it was killed.
        pipe.line(f"\nexit {code}")


def _run_job_and_exit(orders: _Orders, pipe: _EventPipe, imports: ImportTime) -> NoReturn:
    code = 1
    try:
        _run_job(orders, pipe, imports)
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # an orderly exit of a framework takes a while


def _run_job(orders: _Orders, pipe: _EventPipe, imports: ImportTime) -> None:
    """Follow the parent's orders until one job is done."""
    from bench.models.backends.base import current_backend
    from bench.training.trial import run_trials

    while "job" not in (order := orders.next()):
        pipe.line(current_backend().device().kind)
    pipe.line("begun")
    with Path(order["log"]).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    job = read_job(Path(order["job"]))
    _load_plugins(job.plugins, job.packages)
    BACKBONES.describe(job.descriptions)
    if job.task == "measure":
        from bench.inference.measuring.memory import IsolatedProcesses
        from bench.inference.measuring.stage import measure

        # Measuring memory needs Linux, which resets a process's peak, and a fork from a process
        # whose framework has not computed anything. So a worker that measures is never asked for
        # its device.
        can_fork = sys.platform == "linux"
        measure(job, pipe, IsolatedProcesses(MEMORY_PROCESSES) if can_fork else None)
        return
    try:
        run_trials(job, pipe, imports)
    except OutOfMemoryError as error:
        pipe(Ended(out_of_memory=True, message=str(error)))


def _load_plugins(plugins: tuple[str, ...], packages: tuple[str, ...]) -> None:
    try:
        for broken in load_plugins([Path(p) for p in plugins], packages):
            print(broken, file=sys.stderr)
    except PluginError as error:
        # It was loaded when the run was planned. Its trials fail, since their backbones are
        # unknown; the log says why.
        print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
