"""How much memory this process took at most."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil


def process_peak() -> int:
    """Bytes that this process has had resident at most since it began, or, on Linux, since its
    peak was forgotten."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":
        # getrusage would count what the process had that started this one.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
