"""Work in a process that has done nothing else, without paying for its imports again.

The memory of one model cannot be measured in a process that has run others: what those freed is
reused and does not show (up to a quarter of it). So processes are forked when the framework is
loaded but has computed nothing, and forked again for each piece of work. A framework that computes
has threads, which a fork does not copy. Linux only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NoReturn

TIMEOUT_SECONDS = 900.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


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
            child = os.fork()
            if child == 0:
                _end_with_parent(server)
                _do(connection, work, arguments)
            if os.waitpid(child, 0)[1]:
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
    connection: Connection, work: Callable[..., Any], arguments: tuple[object, ...]
) -> NoReturn:
    code = 1
    try:
        connection.send(work(*arguments))
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)
