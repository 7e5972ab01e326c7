"""Paths of files that other processes left half written."""

from __future__ import annotations

import os
from pathlib import Path

from bench.system.files import temporary_sibling

NO_PROCESS = 99_999_999  # no system counts as far


def left_beside(path: Path, pid: int = NO_PROCESS) -> Path:
    """Return the temporary path at which a process would write `path`: a dead process, if none is
    named."""
    own = temporary_sibling(path)
    return own.with_name(own.name.replace(f".{os.getpid()}-", f".{pid}-"))
