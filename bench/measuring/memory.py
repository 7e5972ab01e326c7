"""How much memory was taken at most: by this process, and on the device where it is not the same.

Linux alone can forget a process's peak, so what one model takes is known there only; elsewhere it
is left empty.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    """Inside, watch how far the process's resident memory rises above where it begins."""
    found = Growth()
    watched = _forget_peak()
    before = psutil.Process().memory_info().rss
    yield found
    if watched:
        found.nbytes = max(0, _highest() - before)


def _forget_peak() -> bool:
    try:
        # What others freed goes back first: it would hide what is taken now.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)
    except (OSError, AttributeError):
        return False
    return True


def _highest() -> int:
    """Bytes resident at most since the process began, or since its peak was forgotten."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
