"""A run's folder: who may write in it, and where an earlier run of the same name goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import BenchError


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Nobody else makes this run meanwhile; an error where somebody does."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / ".lock").acquire(timeout=0)
    except Timeout as error:
        raise BenchError(f"another process is making run {folder.name}; wait for it.") from error
    with lock:
        yield


def run_folder(results: Path, name: str, *, fresh: bool) -> Path:
    """The run's folder. With `fresh`, an earlier run of that name is moved aside, not deleted."""
    folder = results / name
    if fresh and folder.exists():
        with held(folder):
            pass  # else it would be moved away under who makes it
        number = 1
        while (aside := results / f"{name}.{number}").exists():
            number += 1
        folder.rename(aside)
    return folder
