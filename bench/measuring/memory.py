"""How much memory was taken at most: by this process, and on the device where it is not the same.

Linux alone can forget a process's peak, so what one model takes is known there only; elsewhere it
is left empty.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

_FORGET_PEAK = "5"  # proc(5), clear_refs


def process_peak() -> int:
    """Bytes that this process has had resident at most since it began."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":
        # getrusage would count what the process had that started this one.
        return _highest()
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@dataclass
class Growth:
    """Bytes by which the process grew at most; `None` where that cannot be told."""

    nbytes: int | None = None


@contextmanager
def growth() -> Iterator[Growth]:
    """Inside, watch how far the process's resident memory rises above where it begins.

    Without the libraries' own code and tables: how much of those is touched only now depends on
    what the process, or the one that forked it, did before.
    """
    found = Growth()
    libraries = _in_files()  # looked at outside: looking takes memory, too
    watched = _forget_peak()
    before = psutil.Process().memory_info().rss
    yield found
    if watched:
        highest = _highest()
        code = sum(
            resident - libraries.get(path, _File()).resident
            for path, (resident, executable) in _in_files().items()
            if path in libraries or executable
        )
        found.nbytes = max(0, highest - before - code)


def _forget_peak() -> bool:
    try:
        # What others freed goes back first: it would hide what is taken now.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)
    except (OSError, AttributeError):
        return False
    return True


class _File(NamedTuple):
    """A file that is mapped into memory."""

    resident: int = 0  # bytes of it, without those that were written to
    executable: bool = False


def _in_files() -> Mapping[str, _File]:
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


def _highest() -> int:
    """Bytes resident at most since the process began, or since its peak was forgotten."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
