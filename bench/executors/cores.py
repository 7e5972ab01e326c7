"""The cores that a worker may use: as many as `--threads` says, whatever its framework wants."""

from __future__ import annotations

import os
from pathlib import Path

from bench.environment import available_cores
from bench.errors import UsageError

SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def chosen_cores(threads: int) -> tuple[int, ...]:
    """As many as there shall be threads; none chosen where that is all, or the system cannot bind
    a process to cores and the frameworks' own variables must do."""
    available = available_cores()
    if threads > available:
        raise UsageError(f"--threads {threads} was asked for; this process may use {available}.")
    if not threads or not hasattr(os, "sched_getaffinity"):
        return ()
    # Two threads of one physical core share its arithmetic: the second of them comes last.
    cores = sorted(os.sched_getaffinity(0), key=lambda core: (_place_on_its_core(core), core))
    return tuple(sorted(cores[:threads]))


def _place_on_its_core(core: int) -> int:
    try:
        siblings = _numbers(Path(SIBLINGS.format(core)).read_text())
    except OSError:
        return 0
    return siblings.index(core) if core in siblings else 0


def _numbers(text: str) -> list[int]:
    """`0,4` or `0-1`."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
