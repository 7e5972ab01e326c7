"""Wait for a lock: report who holds it, and give up when the holder has long been idle."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import BenchError
from bench.system.pulse import IDLE_SECONDS, Pulse

UNKNOWN_SECONDS = 6 * 3600.0  # for a holder on another machine or in another container, or no Linux
REPORT_SECONDS = 10.0  # between two reports that this process waits


def _print(text: str) -> None:
    print(text, file=sys.stderr)


report: Callable[[str], None] = _print  # a worker reports to its parent


def acquire(lock: FileLock, what: str) -> None:
    """Wait as long as the holder works; raise when it has long been idle, or after very long where
    the holder is unknown."""
    path = Path(lock.lock_file)
    pulse: Pulse | None = None
    unknown = 0.0  # seconds with an unknown holder
    while True:
        try:
            lock.acquire(timeout=REPORT_SECONDS)
        except Timeout:
            pid = holder(path)
            if pid is None:
                pulse = None
                unknown += REPORT_SECONDS
            elif pulse is None or pulse.pid != pid:
                pulse = Pulse(pid)
            else:
                pulse.look()
            if pulse is not None and pulse.idle_seconds >= IDLE_SECONDS:
                how = f"idle for {pulse.idle_seconds / 60:.0f} min"
            elif unknown >= UNKNOWN_SECONDS:
                how = f"for {unknown / 3600:.0f} h"
            else:
                how = ""
            if how:
                raise BenchError(
                    f"{what} is locked by {named(pid)}, {how}; end that process and give the "
                    f"command again."
                ) from None
            report(f"waiting for {named(pid)}, which holds the lock of {what}")
        else:
            return


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock on this file inside."""
    lock = FileLock(path)
    acquire(lock, what)
    try:
        yield
    finally:
        lock.release()


def holder(path: Path) -> int | None:
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


def named(pid: int | None) -> str:
    """Return the process with its command, as far as known."""
    if pid is None:
        return "another process"
    import psutil  # late: rarely needed

    try:
        command = " ".join(" ".join(psutil.Process(pid).cmdline()).split())
    except psutil.Error:
        command = ""
    return f"process {pid}" + (f" ({command[:80]})" if command else "")
