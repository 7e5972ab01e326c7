"""Work done in a process that has done nothing else, without paying for its imports.

Memory that one model takes cannot be told in a process that has run others: what those gave back
is taken again and not seen (up to a quarter of it). So processes are forked while the framework is
loaded and has computed nothing, and are forked again for each piece of work. Once a framework
computes it has threads, and those a fork leaves behind. Linux only.
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

PATIENCE_SECONDS = 900.0
_SIGNAL_OF_PARENTS_DEATH = 1  # prctl(2), PR_SET_PDEATHSIG


class Alone:
    """Takes work and gives its results, in the order of asking; `at_once` pieces go on together.

    To be made before the framework computes anything; ends with the process that made it.
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
        # Whom to ask and to hear next: each in turn, so that the answers keep the order.
        self._asked, self._heard = cycle(self._ours), cycle(self._ours)

    def ask(self, work: Callable[..., Any], *arguments: object) -> None:
        """Begin; `work` and its arguments must be importable there."""
        with suppress(OSError):  # it is gone: the answer says so
            next(self._asked).send((work, arguments))

    def answer(self) -> Any:
        """What the work returned; `None` where it raised or died, which the log tells."""
        ours = next(self._heard)
        try:
            if ours.poll(PATIENCE_SECONDS):
                return ours.recv()
            ours.close()  # a run must not hang on it: all its later answers are `None`, too
            return None
        except (EOFError, OSError):
            return None


def _serve(connection: Connection, parent: int) -> NoReturn:
    try:
        _end_with(parent)
        server = os.getpid()
        while True:
            work, arguments = connection.recv()
            child = os.fork()
            if child == 0:
                _end_with(server)
                _do(connection, work, arguments)
            if os.waitpid(child, 0)[1]:
                connection.send(None)
    except EOFError:
        os._exit(0)
    finally:
        os._exit(1)  # nothing of the parent's may go on here


def _end_with(parent: int) -> None:
    """Have this process killed when the one that forked it ends, however that may be."""
    ctypes.CDLL(None).prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it was quicker


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
