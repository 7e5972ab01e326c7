"""The content-addressed cache on disk: results are looked up by a hash of their inputs.

An entry appears whole or not at all (written to a temporary folder, then renamed). Its checksum is
verified when it is first opened; a damaged entry counts as missing and is replaced when it is
computed again. Several processes may share one cache: a lock per key keeps them from computing the
same entry twice, and a process pins the entries that it uses, so that no other deletes them.
Existing entries are read even if the folder is not writable.

    entries/KIND/KEY/     computed results (see `entries`)
    extracted/DIGEST/     extracted archives (see `bench.data.sources.archive`)
    pins/, drafts/, locks/    entries in use, and work in progress (see `shared_folder`)
    file-digests.json     SHA-256 of weights files
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from platformdirs import user_cache_path

from bench.storage.entries import (
    Draft,
    Entry,
    Parts,
    content_key,
    data_state,
    list_entry,
    read_entry,
)
from bench.storage.shared_folder import EXTRACTED, NotKeptError, SharedFolder, pin_name
from bench.system.files import bytes_on_disk, from_json, is_folder, remove, to_json, write_atomic

__all__ = ["Draft", "Entry", "NoRoomError", "NotKeptError", "Parts", "Store", "content_key"]

DEFAULT_LIMIT_BYTES = 50 * 10**9
CACHE_VARIABLE = "BACKBONE_BENCH_CACHE"
DISK_MARGIN = 1.1  # free disk space required, relative to the bytes to be written
# A file modified this recently may change again within the resolution of its timestamps.
SETTLED_SECONDS = 3.0
# Size, inode, mtime and ctime in nanoseconds, and the digest.
KnownFile = tuple[int, int, int, int, str]


class NoRoomError(NotKeptError):
    """The entry does not fit under the cache's size limit or on the disk."""


@dataclasses.dataclass(frozen=True)
class ClearResult:
    """The result of `Store.clear`."""

    freed: int  # bytes
    in_use: int  # entries that a running process uses
    refused: int  # entries that the operating system did not delete


class Store(SharedFolder):
    """The cache: a folder of entries under a size limit; the least recently used go first.

    Entries that this object found or created stay pinned until `release`.
    """

    def __init__(
        self,
        root: Path | None = None,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        *,
        read_only: bool = False,
    ) -> None:
        super().__init__(root or default_root(), read_only=read_only)
        self.limit_bytes = limit_bytes
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
            self.pins.drop(pin_name(path))
        elif not self.read_only:
            with suppress(OSError):  # the cache may be read-only
                (path / "used").touch()
        return entry

    def begin_draft(self, kind: str, description: str, nbytes: int) -> Draft:
        """Begin an entry of about `nbytes`; raise `NotKeptError` if it cannot be stored."""
        return self.begin_drafts(kind, [(description, nbytes)])[0]

    def begin_drafts(self, kind: str, wanted: Sequence[tuple[str, int]]) -> list[Draft]:
        """Begin entries, given as (description, bytes), that are written together: all or none."""
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

    def lock(self, kind: str, parts: Parts) -> AbstractContextManager[None]:
        """Lock an entry during lookup and creation, so that only one process creates it."""
        return self.hold_lock(f"{kind}-{content_key(parts)}")

    def get_or_create(
        self,
        kind: str,
        parts: Parts,
        description: str,
        nbytes: int,
        fill: Callable[[Draft], Mapping[str, Any] | None],
        cost_seconds: float | None = None,
    ) -> Entry:
        """Return the entry, created if it is missing.

        `fill` writes the draft and may return metadata to store with it. `cost_seconds` is the cost
        to record; None: the time that `fill` takes.
        """
        with self.lock(kind, parts):
            found = self.find(kind, parts)
            if found is not None:
                return found
            draft = self.begin_draft(kind, description, nbytes)
            start = time.perf_counter()
            try:
                extra = fill(draft)
                seconds = time.perf_counter() - start if cost_seconds is None else cost_seconds
                return draft.commit(parts, seconds, extra)
            finally:
                draft.discard()

    def get_or_compute(
        self, kind: str, parts: Parts, description: str, compute: Callable[[], NDArray[Any]]
    ) -> NDArray[Any]:
        """Return the array, computed if it is missing and then stored if there is room."""
        with self.lock(kind, parts):
            found = self.find(kind, parts)
            if found is not None:
                return found.array()
            start = time.perf_counter()
            array = compute()
            seconds = time.perf_counter() - start
            with suppress(NotKeptError):
                draft = self.begin_draft(kind, description, array.nbytes)
                try:
                    draft.append(array)
                    draft.commit(parts, seconds)
                finally:
                    draft.discard()
        return array

    def entries(self) -> list[Entry]:
        """Return all entries, unreadable ones included, least recently used first.

        Contents are not verified.
        """
        return sorted(map(list_entry, self.root.glob("entries/*/*")), key=lambda e: e.used)

    def extracted_archives(self) -> Iterator[tuple[Path, int]]:
        """Yield the folders of extracted archives, with their sizes in bytes."""
        for path in sorted(self.root.glob(f"{EXTRACTED}/*")):
            yield path, bytes_on_disk(path)

    def clear(self) -> ClearResult:
        """Delete all entries and archives that no running process uses."""
        sizes = {entry.path: entry.nbytes for entry in self.entries()} | dict(
            self.extracted_archives()
        )
        used = self.pins.in_use()
        gone = self.delete(sizes)
        self.remove_stale()
        used |= self.pins.in_use()  # entries may have been pinned or released meanwhile
        kept = [pin_name(path) in used for path in sizes if path not in gone and path.exists()]
        return ClearResult(sum(sizes[path] for path in gone), sum(kept), kept.count(False))

    def _read(self, path: Path) -> Entry | None:
        try:
            state = data_state(path)
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
        self._verified[path] = data_state(path)
        return entry

    def _path(self, kind: str, parts: Parts) -> Path:
        return self.root / "entries" / kind / content_key(parts)

    def _make_room(self, nbytes: int) -> None:
        """Delete the least recently used entries until `nbytes` fit, or raise `NoRoomError`."""
        self.make_folder("drafts")
        self.remove_stale()
        self._drafts = [draft for draft in self._drafts if draft.is_open]
        entries, pinned = self.entries(), self.pins.in_use()
        held = sum(e.nbytes for e in entries) + sum(draft.nbytes for draft in self._drafts)
        to_write = nbytes + sum(draft.still_to_write for draft in self._drafts)
        over_limit = held + nbytes - self.limit_bytes
        needed = int(DISK_MARGIN * to_write)
        over_disk = needed - shutil.disk_usage(self.root).free
        unpinned = [entry for entry in entries if pin_name(entry.path) not in pinned]
        deletable = sum(entry.nbytes for entry in unpinned)
        if over_limit > deletable:
            used = f", of which {held - deletable:,} are in use" if held > deletable else ""
            raise NoRoomError(
                f"needs {nbytes:,} bytes, the cache may hold {self.limit_bytes:,}{used}"
            )
        if over_disk > deletable:
            raise self._disk_full_error(needed)
        excess, chosen = max(over_limit, over_disk), []
        for entry in unpinned:
            if excess > 0:
                chosen.append(entry.path)
                excess -= entry.nbytes
        self.delete(chosen)
        # Other processes write too, and a file that one has mapped takes space until it ends.
        if chosen and shutil.disk_usage(self.root).free < to_write:
            raise self._disk_full_error(needed)

    def _disk_full_error(self, nbytes: int) -> NoRoomError:
        free = shutil.disk_usage(self.root).free
        return NoRoomError(
            f"needs {nbytes:,} bytes, including a reserve of 10%; the disk has {free:,} free"
        )


def default_root() -> Path:
    """Return the user's cache folder for this program, or the one that the variable names."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else user_cache_path("backbone-bench")


class FileDigests:
    """Cached SHA-256 digests of large files, valid while size, inode and times do not change."""

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        """`file`: the JSON file that stores the digests; losing it is harmless."""
        self._file, self._read_only = file, read_only
        self._known: dict[str, KnownFile] = {}
        with suppress(OSError, ValueError, RecursionError):
            self._known = from_json(file.read_text(encoding="utf-8"), dict[str, KnownFile])

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of the file's content, read only if it may have changed."""
        path = path.resolve()
        status = path.stat()
        # ctime as well: copying a file may restore an earlier mtime.
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        state = (status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        known = self._known.get(str(path))
        if known is not None and known[:4] == state:
            return known[4]
        settled = time.time() - changed / 1e9 > SETTLED_SECONDS
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if settled and not self._read_only:
            self._known[str(path)] = (*state, digest)
            with suppress(OSError):
                write_atomic(self._file, to_json(self._known))
        return digest
