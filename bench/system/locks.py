"""Waiting for a lock: with a word about who holds it, and not for ever."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import BenchError
from bench.system.pulse import IDLE_SECONDS, Pulse

UNKNOWN_SECONDS = 6 * 3600.0  # another machine's or container's, or no Linux
TELL_SECONDS = 10.0  # after which it is said that somebody waits, and again each time as many pass


def _print(text: str) -> None:
    print(text, file=sys.stderr)


tell: Callable[[str], None] = _print  # a worker tells its parent


def acquire(lock: FileLock, what: str) -> None:
    """Wait as long as the holder works; an error where it has long been idle, or for very long
    where the system does not name it."""
    path = Path(lock.lock_file)
    pulse: Pulse | None = None
    unknown = 0.0  # seconds for which nobody knows who holds it
    while True:
        try:
            lock.acquire(timeout=TELL_SECONDS)
        except Timeout:
            pid = holder(path)
            if pid is None:
                pulse = None
                unknown += TELL_SECONDS
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
            tell(f"waiting for {named(pid)}, which holds the lock of {what}")
        else:
            return


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock that the file is, once it could be acquired."""
    lock = FileLock(path)
    acquire(lock, what)
    try:
        yield
    finally:
        lock.release()


def holder(path: Path) -> int | None:
    """The process that holds the lock on `path`, where the system tells (Linux)."""
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
    """The process with its command, as far as that is known."""
    if pid is None:
        return "another process"
    import psutil  # late: nobody else is at work, as a rule

    try:
        command = " ".join(" ".join(psutil.Process(pid).cmdline()).split())
    except psutil.Error:
        command = ""
    return f"process {pid}" + (f" ({command[:80]})" if command else "")
