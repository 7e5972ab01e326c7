"""What is being written stands under a name that says who writes it; what a killed process left is
told from what a living one is still at, and removed.

The names end in `PID-HEX`. A reader of results or of the cache never looks at them.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from pathlib import Path

# A process' start is known from the system's clock ticks, a file's age from its disk's clock.
CLOCKS_DIFFER_SECONDS = 60
_NAME = re.compile(r"(?:^|\.)(\d+)-[0-9a-f]{16}$")


def own_name() -> str:
    """A name that nobody else uses, for a file or a folder among other unfinished ones."""
    return f"{os.getpid()}-{uuid.uuid4().hex[:16]}"


def beside(path: Path) -> Path:
    """Where to write what will be renamed to `path`: hidden, in the same folder."""
    return path.with_name(f".{path.name}.{own_name()}")


def is_abandoned(path: Path) -> bool:
    """Whether the process that wrote at `path` is no more; a name of another kind is nobody's."""
    named = _NAME.search(path.name)
    if named is None:
        return False
    import psutil  # late: only a sweep asks, and not every command sweeps

    try:
        written = path.lstat().st_mtime
        began: float = psutil.Process(int(named[1])).create_time()
    except psutil.NoSuchProcess:
        return True
    except (OSError, psutil.Error):
        return False
    # Another process has the number now, as is common in containers and after a restart.
    return began > written + CLOCKS_DIFFER_SECONDS


def sweep(folder: Path, *, below: bool = True) -> None:
    """Remove what killed processes left half written in `folder`, and in the folders below it."""
    for at, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if name.startswith(".") and is_abandoned(path := Path(at, name)):
                remove(path)
        if not below:
            break


def remove(path: Path) -> None:
    """Delete a file, a link or a folder that is nobody's any more; another may have been first."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
