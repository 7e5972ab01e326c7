"""Wait for a lock: report who holds it, and give up when the holder has long been idle.

Whether a process works shows in the processor time that it uses: one that hangs or is stopped
cannot report it, and a thread that sends a heartbeat proves nothing about the others.
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
BUSY_SHARE = 0.001  # of one processor; a slow download uses little more
MAX_STEP = 60.0  # seconds; a longer time between two looks means that this process was suspended


class ActivityMonitor:
    """Watches one process and its descendants."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.idle_seconds = 0.0  # since it last worked
        self._used: dict[int, float] = {}
        self._looked = time.monotonic()
        self.update()

    @property
    def is_idle(self) -> bool:
        return self.idle_seconds >= IDLE_SECONDS

    def update(self) -> None:
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


UNKNOWN_SECONDS = 6 * 3600.0  # for a holder on another machine or in another container, or no Linux
MAX_COMMAND = 80  # characters of a process's command in a message
REPORT_SECONDS = 10.0  # between two reports that this process waits


def _print(text: str) -> None:
    print(text, file=sys.stderr)


report: Callable[[str], None] = _print  # a worker reports to its parent


def acquire_lock(path: Path, what: str) -> AbstractContextManager[object]:
    """Take the lock on this file, for a `with` that gives it back.

    Wait as long as its holder works; raise when that has long been idle, or after very long where
    the holder is unknown.
    """
    lock = FileLock(path)
    pulse: ActivityMonitor | None = None
    unknown = 0.0  # seconds with an unknown holder
    while True:
        with suppress(Timeout):
            return lock.acquire(timeout=REPORT_SECONDS)
        pid = lock_holder(path)
        if pid is None:
            pulse = None
            unknown += REPORT_SECONDS
        elif pulse is None or pulse.pid != pid:
            pulse = ActivityMonitor(pid)
        else:
            pulse.update()
        if pulse is not None and pulse.is_idle:
            how = f"idle for {pulse.idle_seconds / 60:.0f} min"
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
    """Return the process that holds the lock on `path`, where that is known (Linux)."""
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
    """Return whether a process of this machine holds the lock on `path`."""
    if not path.exists():
        return False
    if sys.platform == "linux":  # looking takes no lock, which a run might want at this instant
        return lock_holder(path) is not None
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def describe_process(pid: int | None) -> str:
    """Return the process with its command, as far as known."""
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
