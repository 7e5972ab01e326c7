"""Memory that one trained model takes, measured in a process that has done nothing else.

In a process that has run other models, memory that those freed is reused and does not show (up to a
quarter). So processes are forked when the framework is loaded but has computed nothing, and forked
again for each piece of work, which saves the imports. A framework that has computed has threads,
which a fork does not copy.

The figure is the largest growth of the process's memory, without the code of libraries: how much of
that becomes resident depends on what the process, or its parent, did before. Only Linux can reset a
process's peak, and forks as needed here; elsewhere the figure is left empty.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from itertools import cycle
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import psutil

from bench.inference.runtimes import RUNTIMES, ModelSource
from bench.models.backends.base import current_backend
from bench.models.rebuild import rebuild
from bench.storage.records import read_run
from bench.system.memory import peak_memory, reset_peak

POLL_SECONDS = 0.005
TIMEOUT_SECONDS = 900.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class MemoryUse:
    """Peak memory in bytes; `None` if it cannot be measured."""

    process: int | None = None  # above that with the runtime imported, without library code
    device: int | None = None  # on the GPU


def measure_inference(
    folder: Path, key: str, runtime_name: str, artefacts: Path, threads: int
) -> MemoryUse:
    """Return the memory for loading a trained model and predicting one image.

    Call it in a process that did nothing else. The model is that of trial `key` of the run in
    `folder`: the runtime's artefact, or else the Keras model, rebuilt here.
    """
    runtime = RUNTIMES[runtime_name]
    run = read_run(folder)
    record = next(r for r in run.records if r.trial.key == key)
    size = record.trial.input_size
    image = np.zeros((1, size, size, 3), np.uint8)
    for module in runtime.modules:
        import_module(module)
    if not runtime.artefact:
        # The threads and pools that the framework starts first are not the model's memory.
        from bench.inference.measuring.hardware import MatrixChain

        MatrixChain(side=64, products=1)
    with measure_growth() as grown:
        model = None if runtime.artefact else rebuild(run, record).classifier()
        call = runtime.load(ModelSource(model, image[:0], artefacts, threads))
        call(image)
    return MemoryUse(grown.nbytes, None if runtime.artefact else current_backend().memory_peak())


@dataclass
class Growth:
    """The largest growth of the process in bytes; `None` if it cannot be measured."""

    nbytes: int | None = None


@contextmanager
def measure_growth() -> Iterator[Growth]:
    """Measure the largest growth of the process's resident memory inside the block.

    The yielded `Growth` has its value after the block.
    """
    found = Growth()
    mapped = _mapped_files()  # first, as reading takes memory, too
    if not reset_peak():
        yield found
        return
    most, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(POLL_SECONDS):
            most = max(most, _private_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    before, own = psutil.Process().memory_info().rss, _private_bytes()
    yield found
    ended.set()
    thread.join()
    # Both estimates can only be too low: the first subtracts code that became resident after the
    # peak, the second misses growth shorter than the polling interval.
    from_peak, from_watch = peak_memory() - before, max(most, _private_bytes()) - own
    code, data = _newly_resident(mapped)
    found.nbytes = max(0, from_peak - code, from_watch + data)


def _private_bytes() -> int:
    """Return the resident bytes that are not mapped from files."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


class _MappedFile(NamedTuple):
    """A file that is mapped into memory."""

    resident: int = 0  # bytes, without modified pages
    executable: bool = False


def _newly_resident(earlier: Mapping[str, _MappedFile]) -> tuple[int, int]:
    """Return the bytes of libraries, and of other files, that were not resident `earlier`."""
    code = data = 0
    for path, (resident, executable) in _mapped_files().items():
        new = resident - earlier.get(path, _MappedFile()).resident
        if path in earlier or executable:
            code += new
        else:
            data += new
    return code, data


def _mapped_files() -> Mapping[str, _MappedFile]:
    """Return the files that this process has mapped, by path; empty if they are unknown."""
    found: dict[str, _MappedFile] = {}
    with suppress(psutil.Error, OSError, AttributeError):
        for one in psutil.Process().memory_maps(grouped=False):
            if one.path.startswith("/"):
                before = found.get(one.path, _MappedFile())
                resident = before.resident + one.rss - one.anonymous
                found[one.path] = _MappedFile(resident, before.executable or "x" in one.perms)
    return found


class IsolatedProcesses:
    """A pool that runs each piece of work in a new fork, `at_once` of them concurrently.

    Create it before the framework computes anything. Its processes end with their creator.
    """

    def __init__(self, at_once: int = 1) -> None:
        self._ours: list[Connection] = []
        creator = os.getpid()
        for _ in range(at_once):
            ours, theirs = Pipe()
            self._ours.append(ours)
            if os.fork() == 0:
                for connection in self._ours:
                    connection.close()
                _serve(theirs, creator)
            theirs.close()
        # Round robin, so that results come in the order of the work.
        self._next_to_send, self._next_to_receive = cycle(self._ours), cycle(self._ours)

    def submit(self, work: Callable[..., Any], *arguments: object) -> None:
        """Start `work(*arguments)`; both must be picklable."""
        with suppress(OSError):  # the process has ended; the result will be `None`
            next(self._next_to_send).send((work, arguments))

    def result(self) -> Any:
        """Return the result of the oldest work; `None` if it raised or died (see the log)."""
        ours = next(self._next_to_receive)
        try:
            if ours.poll(TIMEOUT_SECONDS):
                return ours.recv()
            ours.close()  # the run must not hang; all later results of this process are `None`
            return None
        except (EOFError, OSError):
            return None


def _serve(connection: Connection, parent: int) -> NoReturn:
    try:
        _end_with_parent(parent)
        server = os.getpid()
        while True:
            work, arguments = connection.recv()
            child = get_context("fork").Process(
                target=_run_work, args=(connection, server, work, arguments)
            )
            child.start()
            child.join()
            if child.exitcode:
                connection.send(None)
    except EOFError:
        os._exit(0)
    finally:
        os._exit(1)  # the parent's code must not continue in the fork


def _end_with_parent(parent: int) -> None:
    """Let the system kill this process when its parent ends, in whatever way."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the parent has ended already


def _run_work(
    connection: Connection, server: int, work: Callable[..., Any], arguments: tuple[object, ...]
) -> None:
    _end_with_parent(server)
    connection.send(work(*arguments))
