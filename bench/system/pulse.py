"""Whether a process still works, seen from outside: by the processor time that it uses.

Who hangs or is stopped cannot tell; and a thread that says "alive" says nothing of the others.
"""

from __future__ import annotations

import time

IDLE_SECONDS = 1200.0  # longer than anything here waits for another process, the network or a disk
BUSY_SHARE = 0.001  # of one processor; a slow download takes little more
LONGEST_STEP = 60.0  # seconds; a longer one between two looks was this process's own sleep


class Pulse:
    """Watches one process and those that it started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.idle_seconds = 0.0  # since it was last seen to work
        self._used: dict[int, float] = {}
        self._looked = time.monotonic()
        self.look()

    def look(self) -> None:
        """Add the time since the last look to the idle seconds, or begin them anew."""
        now, used = time.monotonic(), _processor_seconds(self.pid)
        passed = now - self._looked
        spent = sum(seconds - self._used.get(pid, 0.0) for pid, seconds in used.items())
        self._looked, self._used = now, used
        if spent > BUSY_SHARE * passed:
            self.idle_seconds = 0.0
        else:
            self.idle_seconds += min(passed, LONGEST_STEP)

    def reset(self) -> None:
        """Take something else for a sign that it works."""
        self._looked = time.monotonic()
        self.idle_seconds = 0.0


def _processor_seconds(pid: int) -> dict[int, float]:
    """What the process and its descendants have used; empty where it is gone."""
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
