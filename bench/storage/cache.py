"""The content-addressed cache on disk: results found again by a hash of their inputs.

An entry appears whole or not at all (written to a temporary folder, then renamed). Its checksum is
verified when it is first opened; a damaged entry counts as missing and is replaced when it is
computed again. Several processes may share one cache: a lock per key keeps them from computing the
same entry twice, and a process pins the entries that it uses, so that no other deletes them. Where
nothing can be written, existing entries are still read.

    entries/KIND/KEY/     computed results (see `entries`)
    extracted/DIGEST/     extracted archives (see `bench.data.sources.archive`)
    pins/                 entries in use (see `pins`)
    drafts/, locks/       work in progress
    file-digests.json     digests of weights files (see `file_digests`)
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from bench.storage.entries import (
    Draft,
    Entry,
    NotKeptError,
    Parts,
    key_of,
    list_entry,
    read_entry,
    state_of,
    writing,
)
from bench.storage.pins import Pins
from bench.system import locks
from bench.system.files import (
    is_folder,
    remove,
    remove_stale,
    size_of,
    temporary_sibling,
    workplace,
)

__all__ = ["Draft", "Entry", "NoRoomError", "NotKeptError", "Parts", "Store", "key_of"]

DEFAULT_LIMIT_BYTES = 50 * 10**9
CACHE_VARIABLE = "BACKBONE_BENCH_CACHE"
EXTRACTED = "extracted"
DISK_MARGIN = 1.1  # free disk space required, relative to the bytes to be written
GUARD_SECONDS = 10.0  # pinning and renaming take milliseconds; a longer holder hangs


class NoRoomError(NotKeptError):
    """The entry does not fit under the cache's size limit or on the disk."""


@dataclasses.dataclass(frozen=True)
class Cleared:
    """The result of `clear`, in bytes and numbers of entries."""

    freed: int
    in_use: int  # by a running process
    refused: int  # by the operating system


class Store:
    """A folder of entries under a size limit; the least recently used are deleted first.

    Entries that a `Store` found or made stay pinned until it is released or garbage-collected. A
    read-only store changes nothing on disk.
    """

    def __init__(
        self,
        root: Path | None = None,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        *,
        read_only: bool = False,
    ) -> None:
        self.root = root or default_root()
        self.limit_bytes = limit_bytes
        self.read_only = read_only
        self._pins = Pins(self.root / "pins")
        self._drafts: list[Draft] = []
        self._verified: dict[Path, tuple[int, ...]] = {}

    def find(self, kind: str, parts: Parts) -> Entry | None:
        """Return the entry for `parts`, verified and pinned; a damaged one counts as missing."""
        path = self._path(kind, parts)
        if not is_folder(path):
            return None
        self.pin(kind, path.name)
        entry = self._read(path)
        if entry is None:
            self._pins.drop(_name(path))
        elif not self.read_only:
            with suppress(OSError):  # the cache may be read-only
                (path / "used").touch()
        return entry

    def draft(self, kind: str, description: str, nbytes: int) -> Draft:
        """Begin an entry of about `nbytes`; raise `NotKeptError` where it cannot be kept."""
        return self.drafts(kind, [(description, nbytes)])[0]

    def drafts(self, kind: str, wanted: Sequence[tuple[str, int]]) -> list[Draft]:
        """Begin entries (description, bytes) that are written together: either all fit or none."""
        self._make_room(sum(nbytes for _, nbytes in wanted))
        begun: list[Draft] = []
        try:
            for description, nbytes in wanted:
                begun.append(Draft(self.root, kind, description, nbytes, self._publish))
        except BaseException:
            for draft in begun:
                draft.discard()
            raise
        self._drafts += begun
        return begun

    def remove_stale(self) -> None:
        """Remove unfinished files and pins of killed processes."""
        if not self.read_only:
            remove_stale(self.root / "drafts", below=False)
            remove_stale(self.root / "pins", below=False)

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """Make a temporary folder for this process alone; it is removed afterwards."""
        with ExitStack() as stack:
            try:
                self.make_folder("drafts")
                folder = stack.enter_context(workplace(self.root / "drafts"))
            except (OSError, NotKeptError):
                elsewhere = tempfile.TemporaryDirectory(prefix="backbone-bench-")
                folder = Path(stack.enter_context(elsewhere))
            yield folder

    def lock(self, kind: str, parts: Parts) -> AbstractContextManager[None]:
        """Lock an entry while it is looked up and made, so that only one process makes it."""
        return self._locked(f"{kind}-{key_of(parts)}")

    def make(
        self,
        kind: str,
        parts: Parts,
        description: str,
        nbytes: int,
        fill: Callable[[Draft], Mapping[str, Any] | None],
    ) -> Entry:
        """Find the entry or make it: `fill` writes the draft and may return notes to keep."""
        with self.lock(kind, parts):
            found = self.find(kind, parts)
            if found is not None:
                return found
            draft = self.draft(kind, description, nbytes)
            start = time.perf_counter()
            try:
                extra = fill(draft)
                return draft.commit(parts, time.perf_counter() - start, extra)
            except BaseException:
                draft.discard()
                raise

    def pin(self, kind: str, key: str) -> None:
        """Keep other processes from deleting the entry of this name, which need not exist yet."""
        if self.read_only:
            return
        if (name := f"{kind}-{key}") in self._pins:
            self._pins.add(name)
            return
        with self._guard():
            self._pins.add(name)

    def release(self) -> None:
        """Let other processes delete the entries that this store found or made."""
        self._pins.release()

    def make_folder(self, *names: str) -> None:
        """Make a folder inside the store, replacing anything else of that name; raise
        `NotKeptError` where nothing can be written."""
        if self.read_only:
            raise NotKeptError(f"the cache {self.root} is only read")
        folder = self.root
        with writing(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            for name in names:
                folder /= name
                if not folder.is_dir():
                    remove(folder)
                    folder.mkdir(exist_ok=True)

    def replace_folder(self, new: Path, path: Path) -> None:
        """Rename `new` to `path`, replacing what is there."""
        aside = temporary_sibling(self.root / "drafts" / "replaced")
        with self._guard():
            with suppress(FileNotFoundError):
                path.rename(aside)
            new.rename(path)
        remove(aside)

    def entries(self) -> list[Entry]:
        """Return all entries, least recently used first, unreadable ones included. Contents are not
        verified."""
        return sorted(map(list_entry, self.root.glob("entries/*/*")), key=lambda e: e.used)

    def extracted(self) -> Iterator[tuple[Path, int]]:
        """Yield the folders of extracted archives, with their sizes in bytes."""
        for path in sorted(self.root.glob(f"{EXTRACTED}/*")):
            yield path, size_of(path)

    def clear(self) -> Cleared:
        """Delete everything that no running process uses."""
        sizes = {entry.path: entry.nbytes for entry in self.entries()} | dict(self.extracted())
        used = self._pins.in_use()
        gone = self._delete(sizes)
        self.remove_stale()
        used |= self._pins.in_use()  # entries that were in use above may no longer be
        kept = [_name(path) in used for path in sizes if path not in gone and path.exists()]
        return Cleared(sum(sizes[path] for path in gone), sum(kept), kept.count(False))

    def _read(self, path: Path) -> Entry | None:
        try:
            state = state_of(path)
        except OSError:
            return None
        entry = read_entry(path, verify=self._verified.get(path) != state)
        if entry is not None:
            self._verified[path] = state
        return entry

    def _publish(self, draft: Path, kind: str, parts: Parts, replace: bool) -> Entry:
        path = self._path(kind, parts)
        # Another process may have been first; by construction its entry holds the same data.
        if not replace and (found := self.find(kind, parts)) is not None:
            remove(draft)
            return found
        self.make_folder("entries", kind)
        self.pin(kind, path.name)
        self.replace_folder(draft, path)
        entry = read_entry(path, verify=False)
        if entry is None:
            raise OSError("an entry could not be read back")
        self._verified[path] = state_of(path)
        return entry

    def _path(self, kind: str, parts: Parts) -> Path:
        return self.root / "entries" / kind / key_of(parts)

    def _make_room(self, nbytes: int) -> None:
        """Delete the least recently used entries until `nbytes` fit; none where they cannot fit."""
        self.make_folder("drafts")
        self.remove_stale()
        self._drafts = [draft for draft in self._drafts if draft.is_open]
        entries, pinned = self.entries(), self._pins.in_use()
        held = sum(e.nbytes for e in entries) + sum(draft.nbytes for draft in self._drafts)
        yet = nbytes + sum(draft.still_to_write for draft in self._drafts)
        over_bound = held + nbytes - self.limit_bytes
        on_disk = int(DISK_MARGIN * yet)
        over_disk = on_disk - shutil.disk_usage(self.root).free
        free_to_go = [entry for entry in entries if _name(entry.path) not in pinned]
        most = sum(entry.nbytes for entry in free_to_go)
        if over_bound > most:
            used = f", of which {held - most:,} are in use" if held > most else ""
            raise NoRoomError(
                f"needs {nbytes:,} bytes, the cache may hold {self.limit_bytes:,}{used}"
            )
        if over_disk > most:
            raise self._no_disk(on_disk)
        excess, chosen = max(over_bound, over_disk), []
        for entry in free_to_go:
            if excess > 0:
                chosen.append(entry.path)
                excess -= entry.nbytes
        self._delete(chosen)
        # Others write too, and a file that a process has mapped takes space until it ends.
        if chosen and shutil.disk_usage(self.root).free < yet:
            raise self._no_disk(on_disk)

    def _no_disk(self, nbytes: int) -> NoRoomError:
        free = shutil.disk_usage(self.root).free
        return NoRoomError(f"needs {nbytes:,} bytes with a tenth in reserve, the disk has {free:,}")

    def _delete(self, paths: Iterable[Path]) -> set[Path]:
        """Delete the paths that are not in use; return those deleted."""
        moved: dict[Path, Path] = {}
        with suppress(OSError, NotKeptError):
            self.make_folder("drafts")
            with self._guard():
                pinned = self._pins.in_use()
                for path in paths:
                    if _name(path) not in pinned:
                        aside = temporary_sibling(self.root / "drafts" / "deleted")
                        with suppress(OSError):
                            path.rename(aside)
                            moved[path] = aside
        for aside in moved.values():
            remove(aside)
        return set(moved)

    def _guard(self) -> AbstractContextManager[None]:
        """Keep others from pinning while this process reads the pins and deletes."""
        return self._locked("pins", timeout=GUARD_SECONDS)

    @contextmanager
    def _locked(self, name: str, *, timeout: float | None = None) -> Iterator[None]:
        """Hold a lock; wait for it as long as its holder runs, or for `timeout` seconds. Where no
        lock file can be made, nothing else can be written either, and none is needed."""
        with ExitStack() as held:
            if not self.read_only:
                with suppress(OSError, NotKeptError, NotImplementedError):
                    self.make_folder("locks")
                    lock = FileLock(self.root / "locks" / f"{name}.lock")
                    if timeout is None:
                        locks.acquire(lock, f"cache entry {name}")
                    else:
                        lock.acquire(timeout=timeout)
                    held.callback(lock.release)
            yield


def default_root() -> Path:
    """Return the user's cache folder for this program; the variable overrides it."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else user_cache_path("backbone-bench")


def _name(path: Path) -> str:
    """Return the name under which an entry, or the folder of an archive, is pinned."""
    return f"{path.parent.name}-{path.name}"
