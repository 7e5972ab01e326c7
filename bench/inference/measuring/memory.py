"""Memory that one trained model takes, measured in a process that has done nothing else.

In one that has run other models, what those freed is reused and does not show (up to a quarter of
it). So processes are forked when the framework is loaded but has computed nothing, and forked again
for each piece of work: none pays for the imports again. A framework that computes has threads,
which a fork does not copy.

The figure is how much this process's memory grew at most, without the code of libraries: how much
of it is touched only now depends on what the process, or the one that forked it, did before. Only
Linux can reset a process's peak, and forks as is needed here; elsewhere the figure is left empty.
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
from bench.models.backends.base import current
from bench.models.rebuild import rebuild
from bench.storage.records import read_run
from bench.system.memory import peak_memory, reset_peak

POLL_SECONDS = 0.005
TIMEOUT_SECONDS = 900.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class MemoryUse:
    """Bytes at most; `None` where that cannot be measured."""

    process: int | None = None  # above what it had with the runtime imported, without its code
    device: int | None = None  # on the GPU


def inference_memory(
    folder: Path, key: str, runtime_name: str, artefacts: Path, threads: int
) -> MemoryUse:
    """Measure loading a trained model and answering one image, in a process that did nothing else.

    The model is that of trial `key` of the run in `folder`: the artefact, or where there is none
    the Keras model, rebuilt here.
    """
    runtime = RUNTIMES[runtime_name]
    run = read_run(folder)
    record = next(r for r in run.records if r.trial.key == key)
    size = record.trial.input_size
    image = np.zeros((1, size, size, 3), np.uint8)
    for module in runtime.modules:
        import_module(module)
    if not runtime.artefact:
        # Let the framework start its threads and pools first: that is not the model's memory.
        from bench.inference.measuring.hardware import Chain

        Chain(side=64, products=1)
    with growth() as grown:
        model = None if runtime.artefact else rebuild(run, record).classifier()
        call = runtime.load(ModelSource(model, image[:0], artefacts, threads))
        call(image)
    return MemoryUse(grown.nbytes, None if runtime.artefact else current().memory_peak())


@dataclass
class Growth:
    """Bytes by which the process grew at most; `None` where that cannot be measured."""

    nbytes: int | None = None


@contextmanager
def growth() -> Iterator[Growth]:
    """Measure how far the process's resident memory rises inside, above where it begins."""
    found = Growth()
    mapped = _mapped()  # read first: reading takes memory, too
    if not reset_peak():
        yield found
        return
    most, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(POLL_SECONDS):
            most = max(most, _own())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    before, own = psutil.Process().memory_info().rss, _own()
    yield found
    ended.set()
    thread.join()
    # Each can only be too low: the system's peak by code that was touched later and is subtracted
    # here, the watch by what lasted less than its interval.
    from_peak, from_watch = peak_memory() - before, max(most, _own()) - own
    code, data = _touched_since(mapped)
    found.nbytes = max(0, from_peak - code, from_watch + data)


def _own() -> int:
    """Return resident bytes that are not mapped from files."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


class _File(NamedTuple):
    """A file that is mapped into memory."""

    resident: int = 0  # bytes of it, without those that were written to
    executable: bool = False


def _touched_since(earlier: Mapping[str, _File]) -> tuple[int, int]:
    """Return bytes of libraries, and of other files, that were not resident before."""
    code = data = 0
    for path, (resident, executable) in _mapped().items():
        new = resident - earlier.get(path, _File()).resident
        if path in earlier or executable:
            code += new
        else:
            data += new
    return code, data


def _mapped() -> Mapping[str, _File]:
    """Return the files that this process has mapped, by path; none where that is unknown."""
    found: dict[str, _File] = {}
    with suppress(psutil.Error, OSError, AttributeError):
        for one in psutil.Process().memory_maps(grouped=False):
            if one.path.startswith("/"):
                before = found.get(one.path, _File())
                resident = before.resident + one.rss - one.anonymous
                found[one.path] = _File(resident, before.executable or "x" in one.perms)
    return found


class IsolatedProcesses:
    """Runs pieces of work, `at_once` of them concurrently, each in a fork of its own.

    Create it before the framework computes anything; it ends with the process that created it.
    """

    def __init__(self, at_once: int = 1) -> None:
        self._ours: list[Connection] = []
        maker = os.getpid()
        for _ in range(at_once):
            ours, theirs = Pipe()
            self._ours.append(ours)
            if os.fork() == 0:
                for connection in self._ours:
                    connection.close()
                _serve(theirs, maker)
            theirs.close()
        # Each in turn, so that results come in the order of the work.
        self._next_to_send, self._next_to_receive = cycle(self._ours), cycle(self._ours)

    def submit(self, work: Callable[..., Any], *arguments: object) -> None:
        """Start the work; it and its arguments are pickled."""
        with suppress(OSError):  # the process has ended: the result will be `None`
            next(self._next_to_send).send((work, arguments))

    def result(self) -> Any:
        """Return the result of the oldest work; `None` where it raised or died (see the log)."""
        ours = next(self._next_to_receive)
        try:
            if ours.poll(TIMEOUT_SECONDS):
                return ours.recv()
            ours.close()  # a run must not hang on it: all its later results are `None`, too
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
                target=_do, args=(connection, server, work, arguments)
            )
            child.start()
            child.join()
            if child.exitcode:
                connection.send(None)
    except EOFError:
        os._exit(0)
    finally:
        os._exit(1)  # none of the parent's code may continue here


def _end_with_parent(parent: int) -> None:
    """Have this process killed when the one that forked it ends, in whatever way."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the parent has ended already


def _do(
    connection: Connection, server: int, work: Callable[..., Any], arguments: tuple[object, ...]
) -> None:
    _end_with_parent(server)
    connection.send(work(*arguments))
