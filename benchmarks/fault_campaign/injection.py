"""Faults at the N-th change of the disk, injected from outside the program under test.

Python announces every file that is opened, renamed or removed to audit hooks. A hook that is added
in the process under test counts those below one folder, and at the chosen one kills the process or
raises the error that a full or read-only disk would.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Side = Literal["main", "worker"]

FLUSH = "os.fsync"  # the one event that Python does not announce
PATHS: dict[str, tuple[int, int | None]] = {  # event: its path, and the folder that this is in
    "open": (0, None),
    "os.rename": (1, 3),
    "os.mkdir": (0, 2),
    "os.remove": (0, 1),
    "os.rmdir": (0, 1),
    "os.symlink": (1, 2),
    "os.link": (1, 3),
    "os.truncate": (0, None),
    "os.utime": (0, None),
}
NEEDS_ROOM = frozenset(("open", "os.mkdir", "os.symlink", "os.link", FLUSH))
NO_ROOM = ("ENOSPC", "EDQUOT")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Fault:
    """A fault at the `at`-th point (from 1) whose path contains `match`."""

    action: str  # "kill", or the name of an error: "ENOSPC", "EROFS", ...
    at: int
    where: Side = "main"
    match: str = ""
    lasting: bool = False  # at every later point, too

    def __str__(self) -> str:
        which = f"{'from ' if self.lasting else 'at '}{self.at}"
        return f"{self.action} {which} of {self.where} {self.match or 'any'}"


class Injector:
    """Counts the points of one command, separately for workers, and injects its fault."""

    def __init__(self, root: Path, fault: Fault | None = None, log: Path | None = None) -> None:
        """`log`: where to write each point, instead of disturbing any."""
        self._root = str(root)
        self._fault, self._log = fault, log
        self._pattern = re.compile(fault.match if fault else "")
        # Shared with every process that is forked from here on: a fault happens once in all.
        self._count = mmap.mmap(-1, 8)
        self._where: Side | None = None  # nothing happens before it is armed
        self._busy = False

    def arm(self, where: Side) -> None:
        """Begin in this process, and those that it forks; there is no way back. A worker that is
        forked from the main process has its hook already."""
        before, self._where = self._where, where
        if before is not None:
            return
        sys.addaudithook(self._hook)
        fsync = os.fsync

        def announced(file: Any) -> None:
            number = file if isinstance(file, int) else file.fileno()
            self._at(FLUSH, str(Path(f"/proc/self/fd/{number}").readlink()))
            fsync(file)

        vars(os)["fsync"] = announced

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in PATHS or self._busy:
            return
        if event == "open" and not (arguments[2] or 0) & WRITING:
            return
        path = _full(event, arguments)
        if path is not None:
            self._at(event, path)

    def _at(self, event: str, path: str) -> None:
        other_side = self._fault is not None and self._fault.where != self._where
        if other_side or not path.startswith(self._root):
            return
        self._busy = True
        try:
            self._reach(event, path.removeprefix(self._root))
        finally:
            self._busy = False

    def _reach(self, event: str, path: str) -> None:
        if self._log is not None:
            with self._log.open("a") as log:
                log.write(f"{self._where}\t{event}\t{path!a}\n")
            return
        assert self._fault is not None  # else it would not be armed
        if not self._pattern.search(path):
            return
        if self._fault.action in NO_ROOM and event not in NEEDS_ROOM:
            return
        (count,) = struct.unpack("q", self._count[:8])
        self._count[:8] = struct.pack("q", count + 1)
        if count + 1 == self._fault.at or (self._fault.lasting and count >= self._fault.at):
            _happen(self._fault.action, path)


def _happen(action: str, path: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    number: int = getattr(errno, action)
    raise OSError(number, os.strerror(number), path)


def _full(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return the changed path; None if only a file descriptor is known."""
    place, folder = PATHS[event]
    path = arguments[place]
    if isinstance(path, int):
        return None
    text = os.fsdecode(path)
    if text.startswith("/"):
        return text
    number = arguments[folder] if folder is not None and folder < len(arguments) else -1
    inside = str(Path(f"/proc/self/fd/{number}").readlink()) if number >= 0 else _working_folder()
    return f"{inside}/{text}"


def _working_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


Arm = Callable[[Side], None]
