"""Wait for file locks: report the process that holds one, and give up if it has long been idle.

Whether a process works is judged by the processor time that it uses: a process that hangs or is
stopped cannot report that, and a heartbeat thread proves nothing about the other threads.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import BenchError

IDLE_SECONDS = 1200.0  # longer than any legitimate wait for a process, the network or a disk
BUSY_SHARE = 0.001  # fraction of one processor; a slow download uses little more
MAX_STEP = 60.0  # seconds; a longer time between two updates means that this process was suspended


class ActivityMonitor:
    """Measures for how long a process and its descendants have been idle."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.idle_seconds = 0.0
        self._used: dict[int, float] = {}  # processor seconds, by process
        self._updated = time.monotonic()
        self.update()

    @property
    def is_idle(self) -> bool:
        return self.idle_seconds >= IDLE_SECONDS

    def update(self) -> None:
        """Add the time since the last update to the idle seconds, or reset them."""
        now, used = time.monotonic(), _processor_seconds(self.pid)
        passed = now - self._updated
        spent = sum(seconds - self._used.get(pid, 0.0) for pid, seconds in used.items())
        self._updated, self._used = now, used
        if spent > BUSY_SHARE * passed:
            self.idle_seconds = 0.0
        else:
            self.idle_seconds += min(passed, MAX_STEP)

    def reset(self) -> None:
        """Reset the idle seconds, because the process has given another sign of work."""
        self._updated = time.monotonic()
        self.idle_seconds = 0.0


def _processor_seconds(pid: int) -> dict[int, float]:
    """Return the processor seconds of a process and its descendants, by process number; empty if it
    has ended."""
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


UNKNOWN_SECONDS = 6 * 3600.0  # maximum wait if the holder is unknown: elsewhere, or not Linux
MAX_COMMAND = 80  # characters of a process's command line in a message
REPORT_SECONDS = 10.0  # between two reports that this process waits


def _print(text: str) -> None:
    print(text, file=sys.stderr)


report: Callable[[str], None] = _print  # workers replace it, to report to their parent


def acquire_lock(path: Path, what: str) -> AbstractContextManager[object]:
    """Acquire the lock on the file `path` and return a context manager that releases it.

    Wait while the holder works. BenchError if the holder has been idle for `IDLE_SECONDS`, or after
    `UNKNOWN_SECONDS` if it is unknown. `what` names the lock in messages.
    """
    lock = FileLock(path)
    monitor: ActivityMonitor | None = None
    unknown = 0.0  # seconds with an unknown holder
    while True:
        with suppress(Timeout):
            return lock.acquire(timeout=REPORT_SECONDS)
        pid = lock_holder(path)
        if pid is None:
            monitor = None
            unknown += REPORT_SECONDS
        elif monitor is None or monitor.pid != pid:
            monitor = ActivityMonitor(pid)
        else:
            monitor.update()
        if monitor is not None and monitor.is_idle:
            how = f"idle for {monitor.idle_seconds / 60:.0f} min"
        elif unknown >= UNKNOWN_SECONDS:
            how = f"for {unknown / 3600:.0f} h"
        else:
            report(f"waiting for {describe_process(pid)}, which holds the lock of {what}")
            continue
        raise BenchError(
            f"{what} is locked by {describe_process(pid)}, {how}; end that process and repeat the "
            f"command."
        )


def lock_holder(path: Path) -> int | None:
    """Return the process number of the holder of the lock on `path`; None if unknown (not Linux,
    or on another machine)."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        # `1: FLOCK  ADVISORY  WRITE 4711 fe:00:2166794 0 EOF`
        words = line.split()
        if words[1] == "FLOCK" and words[5].endswith(f":{inode}") and int(words[4]) > 0:
            return int(words[4])
    return None


def is_locked(path: Path) -> bool:
    """Return whether a process on this machine holds the lock on `path`."""
    if not path.exists():
        return False
    if sys.platform == "linux":  # does not acquire the lock, which a run might need just then
        return lock_holder(path) is not None
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def describe_process(pid: int | None) -> str:
    """Return text that names a process, with its command line if that is known."""
    if pid is None:
        return "another process"
    import psutil  # late: rarely needed

    try:
        command = " ".join(" ".join(psutil.Process(pid).cmdline()).split())
    except psutil.Error:
        command = ""
    if len(command) > MAX_COMMAND:
        command = command[: MAX_COMMAND - 1] + "…"
    return f"process {pid}" + (f" ({command})" if command else "")
