"""Pins: which entries of a cache are in use, so that no other process deletes them.

    pins/.in-use.PID-HEX/KIND-KEY     one empty file per entry, in a folder per process

What a killed process left counts no more (`system/files.py`). Where nothing can be written, nothing
is pinned: nothing can be deleted there either.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from pathlib import Path

from bench.system.files import is_abandoned, remove, remove_stale, temporary_sibling


class Pins:
    """The pins of one store; dropped when it is released or collected, or the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: Path | None = None
        self._process = 0
        self._names: set[str] = set()

    def add(self, name: str) -> None:
        """Pin the entry of that name. Pinning it again renews its file's date, by which another
        machine judges whether the pin is abandoned."""
        with suppress(OSError):
            if self._own is None or self._process != os.getpid():
                self._begin()
            assert self._own is not None  # begun
            (self._own / name).touch()
            self._names.add(name)

    def drop(self, name: str) -> None:
        if name in self:
            self._names.discard(name)
            assert self._own is not None  # it has a name
            with suppress(OSError):
                (self._own / name).unlink()

    def __contains__(self, name: str) -> bool:
        return self._process == os.getpid() and name in self._names

    def in_use(self) -> set[str]:
        """Return the names that any running process has pinned, this one included."""
        found: set[str] = set()
        with suppress(OSError):
            for lease in list(self._folder.iterdir()):
                if not is_abandoned(lease):
                    with suppress(OSError):
                        found.update(path.name for path in lease.iterdir())
        return found

    def release(self) -> None:
        """Drop all pins, and those of killed processes."""
        if self._own is not None:
            self._end()
            self._own = None
            self._names.clear()

    def _begin(self) -> None:
        self._names.clear()  # after a fork, these are the parent's
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_stale(self._folder, below=False)
        own = temporary_sibling(self._folder / "in-use")
        own.mkdir()
        self._own, self._process = own, os.getpid()
        self._end = weakref.finalize(self, _end, own, self._process)


def _end(own: Path, process: int) -> None:
    if process == os.getpid():  # a forked child must not remove its parent's pins
        remove(own)
        remove_stale(own.parent, below=False)
