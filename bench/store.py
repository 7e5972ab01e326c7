"""The content-addressed store on disk: what was computed once, found again by what it depends on.

An entry is a folder holding one `data.npy` and a `meta.json`. It appears whole or not at all
(written aside, then renamed), is checked against its checksum when it is opened, and is thrown away
and made anew when it does not match. Several processes may use one store; one lock per key keeps
them from computing the same entry twice. What an entry means is its maker's business, not the
store's.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from platformdirs import user_cache_path

from bench.files import to_json, write_atomic
from bench.unfinished import beside, sweep, workplace

CHUNK_BYTES = 1 << 24
DEFAULT_LIMIT_BYTES = 50 * 10**9

Parts = Mapping[str, Any]


class NoRoomError(Exception):
    """The entry would not fit under the store's bound or on the disk; compute without it."""


@dataclass(frozen=True)
class Entry:
    """One finished entry: an array on disk, what it cost to make, and notes of its maker."""

    path: Path
    kind: str
    key: str
    description: str
    cost_seconds: float
    nbytes: int
    used: float
    reused: bool
    extra: Mapping[str, Any]

    def array(self) -> NDArray[Any]:
        """The data, memory-mapped read-only: it may be larger than memory."""
        data: NDArray[Any] = np.load(self.path / "data.npy", mmap_mode="r")
        return data


class Draft:
    """An entry being written, row by row; invisible to others until `commit`.

    Rows go through a plain file: written pages of a memory map would count as this process' memory,
    and a full disk would kill it without a word.
    """

    def __init__(self, store: Store, kind: str, description: str) -> None:
        self._store, self._kind, self._description = store, kind, description
        self.path = beside(store.root / "drafts" / kind)
        self.path.mkdir(parents=True)
        self._file = (self.path / "data.npy").open("wb")
        self._row: tuple[tuple[int, ...], np.dtype[Any]] | None = None
        self._rows = 0
        self._crc32 = 0

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows; all must be alike in shape and type."""
        row = (rows.shape[1:], rows.dtype)
        if self._row is None:
            self._row = row
            self._write_header()
        elif row != self._row:
            raise ValueError(f"rows of {row} cannot follow rows of {self._row}")
        data = np.ascontiguousarray(rows).reshape(-1).view(np.uint8)
        self._crc32 = zlib.crc32(data.data, self._crc32)
        self._file.write(data.data)
        self._rows += len(rows)

    def commit(
        self, parts: Parts, cost_seconds: float, extra: Mapping[str, Any] | None = None
    ) -> Entry:
        """Publish what was written under the address of `parts`."""
        if self._row is None:
            self._row = ((), np.dtype("uint8"))
        self._write_header()
        self._file.close()
        meta = {
            "kind": self._kind,
            "parts": dict(parts),
            "description": self._description,
            "cost_seconds": cost_seconds,
            "nbytes": (self.path / "data.npy").stat().st_size,
            "crc32": self._crc32,
            "extra": dict(extra or {}),
        }
        meta["meta_crc32"] = zlib.crc32(to_json(meta).encode())
        write_atomic(self.path / "meta.json", to_json(meta))
        entry = self._store.publish(self.path, self._kind, parts)
        if entry is None:
            raise OSError(f"cache entry {self._description} could not be read back")
        return entry

    def discard(self) -> None:
        """Remove what is left; nothing is, once it was committed."""
        self._file.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def _write_header(self) -> None:
        # Padded by numpy such that the number of rows can be rewritten in place.
        assert self._row is not None  # the callers have seen to it
        shape, dtype = self._row
        descr = np.lib.format.dtype_to_descr(dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (self._rows, *shape)}
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, header)


class Store:
    """A folder of entries under a bound; the least recently used go first."""

    def __init__(self, root: Path | None = None, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.root = root or default_root()
        self.limit_bytes = limit_bytes
        self._verified: set[Path] = set()

    def find(self, kind: str, parts: Parts) -> Entry | None:
        """The entry for `parts`, verified; a damaged one is removed and counts as missing."""
        path = self._path(kind, parts)
        if not path.is_dir():
            return None
        entry = _read(path, verify=path not in self._verified)
        if entry is None:
            shutil.rmtree(path, ignore_errors=True)
            return None
        self._verified.add(path)
        # Not where another process removes it just now, or where the cache can only be read.
        with suppress(OSError):
            (path / "used").touch()
        return entry if path.is_dir() else None

    def draft(self, kind: str, description: str, nbytes: int) -> Draft:
        """Begin an entry of about `nbytes`; raises `NoRoomError` where it cannot fit."""
        self._make_room(nbytes)
        return Draft(self, kind, description)

    def sweep(self) -> None:
        """Remove what killed processes left half written."""
        sweep(self.root / "drafts", below=False)

    def workplace(self) -> AbstractContextManager[Path]:
        """A folder for files of this process alone, gone afterwards."""
        return workplace(self.root / "drafts")

    def lock(self, kind: str, parts: Parts) -> FileLock:
        """Held while an entry is looked up and made, so that two processes do not both make it."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{kind}-{key_of(parts)}.lock")

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

    def publish(self, draft: Path, kind: str, parts: Parts) -> Entry | None:
        path = self._path(kind, parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        (draft / "used").touch()
        try:
            draft.rename(path)
        except OSError:
            # Another process was first; by construction its entry holds the same data.
            shutil.rmtree(draft, ignore_errors=True)
        self._verified.add(path)
        return _read(path, verify=False, reused=False)

    def entries(self) -> Iterator[Entry]:
        """All entries, least recently used first; contents are not verified."""
        found = (_read(p.parent, verify=False) for p in self.root.glob("entries/*/*/meta.json"))
        yield from sorted((e for e in found if e is not None), key=lambda e: e.used)

    def remove(self, entry: Entry) -> None:
        """Delete one entry. A process that has it mapped keeps its data until it lets go."""
        self._verified.discard(entry.path)
        shutil.rmtree(entry.path, ignore_errors=True)

    def clear(self) -> int:
        """Delete every entry; returns the bytes freed."""
        freed = 0
        for entry in list(self.entries()):
            freed += entry.nbytes
            self.remove(entry)
        for folder in ("drafts", "extracted"):  # the second: what archives held
            shutil.rmtree(self.root / folder, ignore_errors=True)
        return freed

    def _path(self, kind: str, parts: Parts) -> Path:
        return self.root / "entries" / kind / key_of(parts)

    def _make_room(self, nbytes: int) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.sweep()
        if nbytes > self.limit_bytes:
            raise NoRoomError(f"needs {nbytes:,} bytes, the cache may hold {self.limit_bytes:,}")
        entries = list(self.entries())
        held = sum(e.nbytes for e in entries)
        while entries and (
            held + nbytes > self.limit_bytes or shutil.disk_usage(self.root).free < 1.1 * nbytes
        ):
            oldest = entries.pop(0)
            held -= oldest.nbytes
            self.remove(oldest)
        free = shutil.disk_usage(self.root).free
        if free < 1.1 * nbytes:
            raise NoRoomError(f"needs {nbytes:,} bytes, the disk has {free:,} left")


def forget_pages(array: NDArray[Any]) -> None:
    """Let go of the pages of a memory-mapped array that were read: they stay in the system's cache,
    and no longer count as this process' memory."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def default_root() -> Path:
    """The user's cache folder for this program; `BACKBONE_BENCH_CACHE` names another."""
    named = os.environ.get("BACKBONE_BENCH_CACHE")
    return Path(named) if named else user_cache_path("backbone-bench")


def key_of(parts: Parts) -> str:
    """The content address of `parts`."""
    return hashlib.sha256(to_json(dict(parts)).encode()).hexdigest()[:40]


def _checksum(path: Path) -> int:
    """CRC-32 of an array's data; its header is checked by reading it."""
    value = 0
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        while chunk := file.read(CHUNK_BYTES):
            value = zlib.crc32(chunk, value)
    return value


def _read(path: Path, *, verify: bool, reused: bool = True) -> Entry | None:
    try:
        meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        stated = meta.pop("meta_crc32")
        if zlib.crc32(to_json(meta).encode()) != stated:
            return None
        data = path / "data.npy"
        if data.stat().st_size != meta["nbytes"]:
            return None
        if verify and _checksum(data) != meta["crc32"]:
            return None
        used = (path / "used").stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Entry(
        path=path,
        kind=meta["kind"],
        key=path.name,
        description=meta["description"],
        cost_seconds=meta["cost_seconds"],
        nbytes=meta["nbytes"],
        used=used,
        reused=reused,
        extra=meta["extra"],
    )
