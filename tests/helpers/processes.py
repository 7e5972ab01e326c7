"""Processes that tests start, kill and wait for."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from bench.storage.cache import Store

PATIENCE = 120


def wait(for_what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not for_what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def without_drafts(store: Store) -> bool:
    """Remove what dead processes left in the cache; return whether no draft is left."""
    store.remove_stale()
    return not any((store.root / "drafts").glob(".*"))


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process ended; a zombie of a killed parent counts as ended."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
