"""By how much this process's memory grew at most, libraries' code left out.

How much of that is touched only now depends on what the process, or the one that forked it, did
before. Linux alone can forget a process's peak, so this is known there only; elsewhere it is left
empty.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.system.memory import process_peak

LOOK_SECONDS = 0.005
_FORGET_PEAK = "5"  # proc(5), clear_refs


@dataclass
class Growth:
    """Bytes by which the process grew at most; `None` where that cannot be told."""

    nbytes: int | None = None


@contextmanager
def growth() -> Iterator[Growth]:
    """Inside, watch how far the process's resident memory rises above where it begins."""
    found = Growth()
    mapped = _mapped()  # looked at outside: looking takes memory, too
    if not _forget_peak():
        yield found
        return
    watch = _Watch()
    before, own = psutil.Process().memory_info().rss, _own()
    yield found
    # Each can only be too low: the system's peak by code that was touched later and is taken off
    # here, the watch by what lasted shorter than it took to look.
    from_peak, from_watch = process_peak() - before, max(watch.end(), _own()) - own
    code, data = _touched_since(mapped)
    found.nbytes = max(0, from_peak - code, from_watch + data)


def _forget_peak() -> bool:
    try:
        # What others freed goes back first: it would hide what is taken now.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)
    except (OSError, AttributeError):
        return False
    return True


def _own() -> int:
    """Resident bytes that no file has."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


class _Watch:
    """The most of its own that this process has, looked at all the time."""

    def __init__(self) -> None:
        self._most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> int:
        self._over.set()
        self._thread.join()
        return self._most

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._most = max(self._most, _own())


class _File(NamedTuple):
    """A file that is mapped into memory."""

    resident: int = 0  # bytes of it, without those that were written to
    executable: bool = False


def _touched_since(earlier: Mapping[str, _File]) -> tuple[int, int]:
    """Bytes of libraries, and of other files, that were not resident then."""
    code = data = 0
    for path, (resident, executable) in _mapped().items():
        new = resident - earlier.get(path, _File()).resident
        if path in earlier or executable:
            code += new
        else:
            data += new
    return code, data


def _mapped() -> Mapping[str, _File]:
    """The files that this process has mapped, by path; none where the system does not say."""
    found: dict[str, _File] = {}
    try:
        lines = Path("/proc/self/smaps").read_text().splitlines()
    except OSError:
        return found
    path, executable = "", False
    for line in lines:
        name, *rest = line.split(maxsplit=5)
        if not name.endswith(":"):
            # Where, what is allowed, offset, device, number, path.
            executable = "x" in rest[0]
            path = rest[4] if len(rest) > 4 and rest[4].startswith("/") else ""
        elif path and name in ("Rss:", "Anonymous:"):
            so_far = found.get(path, _File())
            nbytes = int(rest[0]) * 1024 * (1 if name == "Rss:" else -1)
            found[path] = _File(so_far.resident + nbytes, so_far.executable or executable)
    return found
