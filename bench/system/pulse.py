"""Detect from outside whether a process still works: by the processor time that it uses.

A process that hangs or is stopped cannot report it, and a thread that sends a heartbeat proves
nothing about the others.
"""

from __future__ import annotations

import time

IDLE_SECONDS = 1200.0  # longer than any legitimate wait for a process, the network or a disk
BUSY_SHARE = 0.001  # of one processor; a slow download uses little more
MAX_STEP = 60.0  # seconds; a longer time between two looks means that this process was suspended


class Pulse:
    """Watches one process and its descendants."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.idle_seconds = 0.0  # since it last worked
        self._used: dict[int, float] = {}
        self._looked = time.monotonic()
        self.look()

    def look(self) -> None:
        """Add the time since the last look to the idle seconds, or reset them."""
        now, used = time.monotonic(), _processor_seconds(self.pid)
        passed = now - self._looked
        spent = sum(seconds - self._used.get(pid, 0.0) for pid, seconds in used.items())
        self._looked, self._used = now, used
        if spent > BUSY_SHARE * passed:
            self.idle_seconds = 0.0
        else:
            self.idle_seconds += min(passed, MAX_STEP)

    def reset(self) -> None:
        """Count something else as a sign that it works."""
        self._looked = time.monotonic()
        self.idle_seconds = 0.0


def _processor_seconds(pid: int) -> dict[int, float]:
    """Return the seconds used by the process and its descendants; empty if it has ended."""
    import psutil  # late: most commands never watch another process

    found = {}
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return {}
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        found[process.pid] = times.user + times.system
    return found
