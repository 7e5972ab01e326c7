"""Keeping what libraries written in C++ say while they load from the user's terminal.

They write to the process's standard error, some before they have read at which level they should.
What goes wrong in Python is an exception, which passes through.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2


@contextmanager
def hushed() -> Iterator[None]:
    """Inside, what this process writes to its standard error is lost."""
    sys.stderr.flush()
    kept = os.dup(STDERR)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, STDERR)
    os.close(nothing)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, STDERR)
        os.close(kept)
