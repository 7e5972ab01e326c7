"""What is being written stands under a name that says who writes it; what a killed process left is
told from what a living one is still at, and removed.

The names end in `PID-HEX`, whose first digits say where that process number means something. A
reader of results or of the cache never looks at them.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

# A process' start is known from the system's clock ticks, a file's age from its disk's clock.
CLOCKS_DIFFER_SECONDS = 60
# Nobody here can ask after a process of another machine or container: its work is given this long.
FOREIGN_SECONDS = 24 * 3600
_NAME = re.compile(r"\..*\.(\d+)-([0-9a-f]{8})[0-9a-f]{8}")


def beside(path: Path) -> Path:
    """Where to write what will be renamed to `path`: hidden, in the same folder."""
    return path.with_name(f".{path.name}.{os.getpid()}-{_here()}{uuid.uuid4().hex[:8]}")


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A folder in `folder` for this process alone, gone afterwards; `remove_stale` removes that of
    a process that was killed."""
    path = beside(folder / "work")
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        remove(path)


def is_abandoned(path: Path) -> bool:
    """Whether the process that wrote at `path` is no more; a name of another kind is nobody's."""
    named = _NAME.fullmatch(path.name)
    if named is None:
        return False
    pid, where = int(named[1]), named[2]
    try:
        written = _last_written(path)
    except OSError:  # it is gone, and so is what there was to decide
        return False
    if where != _here():
        return time.time() - written > FOREIGN_SECONDS
    began = _began(pid)
    # Else another process has the number now, as is common in containers.
    return began is None or began > written + CLOCKS_DIFFER_SECONDS


def remove_stale(folder: Path, *, below: bool = True) -> None:
    """Remove what killed processes left half written in `folder`, and in the folders below it."""
    for at, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if is_abandoned(path := Path(at, name)):
                remove(path)
        if not below:
            break


def remove(path: Path) -> None:
    """Delete a file, a link or a folder that is nobody's any more; another may have been first."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@cache
def _here() -> str:
    """A mark of this machine, since it started, and of this container."""
    marks = [platform.node()]
    try:
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        marks.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:  # not Linux: there the name must do
        pass
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:8]


def _last_written(path: Path) -> float:
    newest = path.lstat().st_mtime
    if path.is_dir() and not path.is_symlink():
        newest = max([newest, *(inside.lstat().st_mtime for inside in path.iterdir())])
    return newest


def _began(pid: int) -> float | None:
    """When that process began; nothing where there is none, or only its exit code is left."""
    import psutil  # late: not every command looks for stale files

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:  # it is there, and is not ours to look at
        return 0.0
