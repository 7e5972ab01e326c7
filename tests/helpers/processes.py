"""Processes that tests start, kill and wait for."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

PATIENCE = 120


def wait(for_what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not for_what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process ended; a zombie of a killed parent counts as ended."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
