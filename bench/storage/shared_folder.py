"""A folder that several processes share: locks, work in progress, and pins on entries in use.

    pins/.in-use.PID-HEX/KIND-KEY     one empty file per entry in use, in a folder per process
    drafts/, locks/                   work in progress

Files that a killed process left are ignored (`system/files.py`). In a folder that is not writable
nothing is locked or pinned, because nothing can be created or deleted there either.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from bench.system import locks
from bench.system.files import (
    is_abandoned,
    remove,
    remove_stale,
    temporary_folder,
    temporary_sibling,
)

EXTRACTED = "extracted"  # the folder of extracted archives
GUARD_SECONDS = 10.0  # pinning and renaming take milliseconds; a process that takes longer hangs


class NotKeptError(Exception):
    """The entry cannot be stored; the caller computes without it."""


class Pins:
    """The pins of one process, which keep entries from being deleted.

    They end with `release`, when this object is garbage-collected, or with the process.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: Path | None = None
        self._process = 0
        self._names: set[str] = set()

    def add(self, name: str) -> None:
        """Pin the entry `name`, or renew its pin.

        Another machine judges by the pin's modification time whether it is abandoned.
        """
        with suppress(OSError):
            if self._own is None or self._process != os.getpid():
                self._begin()
            assert self._own is not None  # set by `_begin`
            (self._own / name).touch()
            self._names.add(name)

    def drop(self, name: str) -> None:
        """Remove this process's pin of the entry `name`, if there is one."""
        if name in self:
            self._names.discard(name)
            assert self._own is not None  # it holds a pin
            with suppress(OSError):
                (self._own / name).unlink()

    def __contains__(self, name: str) -> bool:
        return self._process == os.getpid() and name in self._names

    def in_use(self) -> set[str]:
        """Return the names that running processes have pinned, this one included."""
        found: set[str] = set()
        with suppress(OSError):
            for of_process in list(self._folder.iterdir()):
                if not is_abandoned(of_process):
                    with suppress(OSError):
                        found.update(path.name for path in of_process.iterdir())
        return found

    def release(self) -> None:
        """Remove all pins of this process, and those that killed processes left."""
        if self._own is not None:
            self._end()
            self._own = None
            self._names.clear()

    def _begin(self) -> None:
        self._names.clear()  # after a fork, these are the parent's
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_stale(self._folder, recursive=False)
        own = temporary_sibling(self._folder / "in-use")
        own.mkdir()
        self._own, self._process = own, os.getpid()
        self._end = weakref.finalize(self, _remove_pins, own, self._process)


def _remove_pins(own: Path, process: int) -> None:
    if process == os.getpid():  # a forked child must not remove its parent's pins
        remove(own)
        remove_stale(own.parent, recursive=False)


class SharedFolder:
    """A folder of entries that several processes look up, create and delete.

    The entries that a process uses are pinned, so that no other process deletes them, until this
    object is released or garbage-collected. A read-only one changes nothing on disk.
    """

    def __init__(self, root: Path, *, read_only: bool) -> None:
        self.root, self.read_only = root, read_only
        self.pins = Pins(root / "pins")

    def remove_stale(self) -> None:
        """Remove unfinished files and pins of killed processes."""
        if not self.read_only:
            remove_stale(self.root / "drafts", recursive=False)
            remove_stale(self.root / "pins", recursive=False)

    @contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """Create a temporary folder, in this one if it is writable; it is removed afterwards."""
        with ExitStack() as stack:
            try:
                self.make_folder("drafts")
                folder = stack.enter_context(temporary_folder(self.root / "drafts"))
            except (OSError, NotKeptError):
                elsewhere = tempfile.TemporaryDirectory(prefix="backbone-bench-")
                folder = Path(stack.enter_context(elsewhere))
            yield folder

    def pin(self, kind: str, key: str) -> None:
        """Keep other processes from deleting the entry KIND-KEY, which need not exist yet."""
        if self.read_only:
            return
        if (name := f"{kind}-{key}") in self.pins:
            self.pins.add(name)
            return
        with self._guard():
            self.pins.add(name)

    def release(self) -> None:
        """Let other processes delete the entries that this object pinned."""
        self.pins.release()

    def make_folder(self, *names: str) -> None:
        """Create the folder `names` inside this one, replacing a file of that name.

        `NotKeptError` if it cannot be written.
        """
        if self.read_only:
            raise NotKeptError(f"the cache {self.root} is only read")
        folder = self.root
        with wrap_write_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            for name in names:
                folder /= name
                try:
                    folder.mkdir(exist_ok=True)
                except FileExistsError:
                    with suppress(OSError):  # a folder, which another process has just created
                        folder.unlink()
                    folder.mkdir(exist_ok=True)

    def replace_folder(self, new: Path, path: Path) -> None:
        """Rename the folder `new` to `path`, replacing an existing one."""
        aside = temporary_sibling(self.root / "drafts" / "replaced")
        with self._guard():
            with suppress(FileNotFoundError):
                path.rename(aside)
            new.rename(path)
        remove(aside)

    def delete(self, paths: Iterable[Path]) -> set[Path]:
        """Delete the entries at `paths` that no process has pinned; return those deleted."""
        moved: dict[Path, Path] = {}
        with suppress(OSError, NotKeptError):
            self.make_folder("drafts")
            with self._guard():
                pinned = self.pins.in_use()
                for path in paths:
                    if pin_name(path) not in pinned:
                        aside = temporary_sibling(self.root / "drafts" / "deleted")
                        with suppress(OSError):
                            path.rename(aside)
                            moved[path] = aside
        for aside in moved.values():
            remove(aside)
        return set(moved)

    def _guard(self) -> AbstractContextManager[None]:
        """Keep other processes from pinning while this one reads the pins and deletes."""
        return self.hold_lock("pins", timeout=GUARD_SECONDS)

    @contextmanager
    def hold_lock(self, name: str, *, timeout: float | None = None) -> Iterator[None]:
        """Hold the lock `name`; wait for it while its holder works, or for `timeout` seconds.

        If no lock file can be created, nothing else can be written either, and none is needed.
        """
        with ExitStack() as stack:
            if not self.read_only:
                with suppress(OSError, NotKeptError, NotImplementedError):
                    self.make_folder("locks")
                    path = self.root / "locks" / f"{name}.lock"
                    if timeout is None:
                        stack.enter_context(locks.acquire_lock(path, f"cache entry {name}"))
                    else:
                        stack.enter_context(FileLock(path).acquire(timeout=timeout))
            yield


def pin_name(path: Path) -> str:
    """Return the name under which the entry or extracted archive at `path` is pinned."""
    return f"{path.parent.name}-{path.name}"


@contextmanager
def wrap_write_errors(root: Path) -> Iterator[None]:
    """Turn operating-system errors into a `NotKeptError` that names the cache folder."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        raise NotKeptError(f"the cache {root} cannot be written: {why}") from error
