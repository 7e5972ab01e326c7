"""The process that trains: `python -m bench.execution.worker`, started by an executor.

Its arguments: when it was started, by the clock that all processes share; and the cores that it may
use, if not all. It loads Keras at once. Its orders come on what was its standard input: to say what
its framework computes on; and then a job, as a file, and the log for it. Its events go to what was
its standard output, a line each (`training/events.py`). Whatever else is printed goes to the log,
and whatever else reads standard input finds it empty. When the parent ends, the pipe of the orders
closes, and the worker ends at once.

To build the first network while the parent still decodes images saved no time: 0.76 to 1.00 of the
time with it, on two cores.

With `--fork` the loading is done once for many jobs: the process computes nothing itself but forks,
for each job, a process that does the rest, and says how that ended.

The forkserver of `multiprocessing` is no replacement. What it forks shares the session of the
parent, so that Ctrl-C reaches it and it cannot be killed as a group; and it goes on when the parent
dies.
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
from bench.training.accounting import Imports
from bench.training.events import Ended, Event, StageProgress, Waiting, encode
from bench.training.job import read_job

PROGRESS_SECONDS = 0.1
MEMORIES_AT_ONCE = 2  # models whose memory is measured at once, each in its own process


class _Orders:
    """The parent's orders, one JSON line each; taken away from standard input, so that a plugin
    that reads there gets none of them."""

    def __init__(self) -> None:
        # Without a buffer: a forked process reads its own orders and no more.
        self._pipe = os.fdopen(os.dup(0), "rb", buffering=0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    def end_with_parent(self) -> None:
        """Watch the parent from now on, whatever this process does: once it is gone, end."""
        threading.Thread(target=self._wait_for_its_end, daemon=True).start()

    def wait(self) -> None:
        """Wait for the next order, which is left to be read."""
        if not self._poll(select.POLLIN) & select.POLLIN:
            os._exit(1)

    def next(self) -> dict[str, Any]:
        """Return the next order."""
        if not (line := self._pipe.readline()):
            os._exit(1)  # the parent is gone, or had nothing to do after all
        order: dict[str, Any] = json.loads(line)
        return order

    def _wait_for_its_end(self) -> None:
        self._poll(0)  # nothing but that the other end was closed
        os._exit(1)

    def _poll(self, events: int) -> int:
        poll = select.poll()
        poll.register(self._pipe, events)
        ((_, happened),) = poll.poll()
        return happened


class _Pipe:
    """Sends lines to the parent; progress only as often as a reader could follow."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._sent = 0.0  # when the last progress was
        self._stage = ("", "")  # and of which trial

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
    """Run the job that the parent names; or jobs, one after another."""
    started, *options = sys.argv[1:]
    forks, cores = "--fork" in options, [word for word in options if word != "--fork"]
    parents = list(filter(None, os.environ.get(IMPORT_PATH, "").split(os.pathsep)))
    sys.path[:] = dict.fromkeys([*parents, *sys.path])
    orders = _Orders()
    orders.end_with_parent()
    if cores:
        # Before a framework starts its threads: whatever it asks for, it has no more than these.
        os.sched_setaffinity(0, map(int, cores))
    pipe = _Pipe(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    locks.report = lambda text: pipe(Waiting(text))
    # Keras, and the framework under it, load here: the parent never pays for them.
    with hide_packages(*UNUSED_BY_WORKERS), disable_gc():
        import bench.training.trial  # noqa: F401

    seconds = time.monotonic() - float(started)
    if not forks:
        _work(orders, pipe, Imports(seconds))
        return
    # The thread that watches the parent holds nothing that a forked process could wait for.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    for number in count():
        orders.wait()
        process = os.fork()
        if process == 0:
            orders.end_with_parent()  # a thread is not forked
            _work_and_end(orders, pipe, Imports(seconds, reused=number > 0))
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        # On a line of its own, whatever that process was writing when it was killed.
        pipe.line(f"\nexit {code}")


def _work_and_end(orders: _Orders, pipe: _Pipe, imports: Imports) -> NoReturn:
    code = 1
    try:
        _work(orders, pipe, imports)
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # a framework takes a while to leave in order


def _work(orders: _Orders, pipe: _Pipe, imports: Imports) -> None:
    """Follow the parent's orders until a job is done."""
    from bench.models.backends.base import current
    from bench.training.trial import run_trials

    while "job" not in (order := orders.next()):
        pipe.line(current().device().kind)
    pipe.line("begun")
    with Path(order["log"]).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    job = read_job(Path(order["job"]))
    _plug_in(job.plugins, job.packages)
    BACKBONES.describe(job.descriptions)
    if job.task == "measure":
        from bench.inference.measuring.memory import IsolatedProcesses
        from bench.inference.measuring.stage import measure

        # Only Linux resets a process's peak of memory, and forks as is needed here: before the
        # framework has computed. What it computes on is asked of one that trains next.
        can_fork = sys.platform == "linux"
        measure(job, pipe, IsolatedProcesses(MEMORIES_AT_ONCE) if can_fork else None)
        return
    try:
        run_trials(job, pipe, imports)
    except OutOfMemoryError as error:
        pipe(Ended(out_of_memory=True, message=str(error)))


def _plug_in(plugins: tuple[str, ...], packages: tuple[str, ...]) -> None:
    try:
        for broken in load_plugins([Path(p) for p in plugins], packages):
            print(broken, file=sys.stderr)
    except PluginError as error:
        # It could be loaded when the run was planned. Its trials fail, as its backbones are not
        # known; the log says why.
        print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
