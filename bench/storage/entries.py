"""An entry of the cache as a folder on disk, written once and verified when it is opened.

    data.npy     the array
    meta.json    its kind, the parts of its key, checksums, cost, and the creator's metadata
    used         empty; its modification time is the entry's last use

Checksums cover the metadata and all of `data.npy`, header included. The key is computed again from
the metadata, so that an entry in a folder of another name counts as damaged. A damaged entry is
treated as missing.
"""

from __future__ import annotations

import hashlib
import io
import stat
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from msgspec import convert
from numpy.typing import NDArray

from bench.storage.shared_folder import wrap_write_errors
from bench.system.files import (
    bytes_on_disk,
    from_json,
    is_folder,
    remove,
    temporary_sibling,
    to_json,
    write_atomic,
)

CHUNK_BYTES = 1 << 24
UNREADABLE = "damaged, or of an earlier version"

# Errors that reading a damaged file may raise: JSON of any depth, `np.load` of any header.
_DAMAGE = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RecursionError)

Parts = Mapping[str, Any]  # the inputs that identify an entry; their hash is its key


@dataclass(frozen=True)
class Entry:
    """One finished entry: an array on disk, its cost, and the creator's metadata."""

    path: Path
    kind: str
    key: str
    description: str
    cost_seconds: float
    nbytes: int
    used: float  # last use, in seconds since the epoch; 0 if unknown
    extra: Mapping[str, Any]
    readable: bool = True
    data: NDArray[Any] | None = field(default=None, compare=False, repr=False)

    def array(self) -> NDArray[Any]:
        """Return the data, memory-mapped read-only: it may be larger than memory.

        After the lookup the data stays readable even if the folder is deleted.
        """
        return _map_data(self.path) if self.data is None else self.data


@dataclass(frozen=True)
class _Meta:
    """The content of `meta.json`, without its own checksum."""

    kind: str
    parts: Parts
    description: str
    cost_seconds: float
    nbytes: int
    header_bytes: int
    header_crc32: int
    data_crc32: int
    extra: Mapping[str, Any]


class Draft:
    """An entry being written, row by row; invisible to others until `commit`.

    Rows are written to an ordinary file. With a memory map, written pages would count as memory of
    this process, and a full disk would kill it without a message.
    """

    def __init__(
        self,
        root: Path,
        kind: str,
        description: str,
        nbytes: int,
        publish: Callable[[Path, str, Parts, bool], Entry],
    ) -> None:
        """`nbytes`: the maximum size. `publish(folder, kind, parts, replace)` moves the draft into
        the cache."""
        self.path, self.nbytes = temporary_sibling(root / "drafts" / kind), nbytes
        self._root, self._kind, self._description = root, kind, description
        self._publish = publish
        with wrap_write_errors(root):
            self.path.mkdir(parents=True)
            self._file = (self.path / "data.npy").open("wb")
        self._row: tuple[tuple[int, ...], np.dtype[Any]] | None = None
        self._rows = 0
        self._crc32 = 0

    @property
    def is_open(self) -> bool:
        """Return whether the draft is still being written."""
        return not self._file.closed

    @property
    def still_to_write(self) -> int:
        """Return how many more bytes the draft may take on disk."""
        return 0 if self._file.closed else max(0, self.nbytes - self._file.tell())

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows; all must have the same shape and type."""
        row = (rows.shape[1:], rows.dtype)
        if self._row is None:
            self._row = row
            self._write_header()
        elif row != self._row:
            raise ValueError(f"rows of {row} cannot follow rows of {self._row}")
        data = np.ascontiguousarray(rows).reshape(-1).view(np.uint8)
        self._crc32 = zlib.crc32(data.data, self._crc32)
        with wrap_write_errors(self._root):
            self._file.write(data.data)
        self._rows += len(rows)

    def commit(
        self,
        parts: Parts,
        cost_seconds: float,
        extra: Mapping[str, Any] | None = None,
        *,
        replace: bool = False,
    ) -> Entry:
        """Publish the rows as the entry for `parts`.

        An existing, undamaged entry is kept unless `replace` is set. `extra`: metadata to store.
        """
        if self._row is None:
            self._row = ((), np.dtype("uint8"))
        with wrap_write_errors(self._root):
            header = self._write_header()
            self._file.close()
            meta = _Meta(
                kind=self._kind,
                parts=dict(parts),
                description=self._description,
                cost_seconds=cost_seconds,
                nbytes=(self.path / "data.npy").stat().st_size,
                header_bytes=len(header),
                header_crc32=zlib.crc32(header),
                data_crc32=self._crc32,
                extra=dict(extra or {}),
            )
            stated = {"meta_crc32": zlib.crc32(to_json(meta).encode())}
            write_atomic(self.path / "meta.json", to_json(vars(meta) | stated))
            (self.path / "used").touch()
            return self._publish(self.path, self._kind, parts, replace)

    def discard(self) -> None:
        """Remove the draft; do nothing if it was committed."""
        with suppress(OSError):  # flushing to a full disk fails, and the data is not needed
            self._file.close()
        remove(self.path)

    def _write_header(self) -> bytes:
        # numpy pads the header so that the number of rows can be rewritten in place.
        assert self._row is not None  # set by the callers
        shape, dtype = self._row
        descr = np.lib.format.dtype_to_descr(dtype)
        about = {"descr": descr, "fortran_order": False, "shape": (self._rows, *shape)}
        np.lib.format.write_array_header_1_0(header := io.BytesIO(), about)
        with wrap_write_errors(self._root):
            self._file.seek(0)
            self._file.write(header.getvalue())
        return header.getvalue()


def read_entry(path: Path, *, verify: bool) -> Entry | None:
    """Return the entry at `path` with its data opened; None if it is damaged.

    Without `verify`, only the checksum of the data is skipped.
    """
    try:
        meta = _read_meta(path)
        if verify:
            _verify(path / "data.npy", meta)
        return replace(_to_entry(path, meta), data=_map_data(path))
    except _DAMAGE:
        return None


def list_entry(path: Path) -> Entry:
    """Return the entry at `path` without its data; an unreadable one is marked as such."""
    try:
        return _to_entry(path, _read_meta(path))
    except _DAMAGE:
        # The last use is unknown: 0 makes it the first to be deleted.
        kind, nbytes = path.parent.name, bytes_on_disk(path)
        return Entry(
            path, kind, path.name, UNREADABLE, 0.0, nbytes, used=0.0, extra={}, readable=False
        )


def _to_entry(path: Path, meta: _Meta) -> Entry:
    cost, used = meta.cost_seconds, _last_used(path)
    return Entry(path, meta.kind, path.name, meta.description, cost, meta.nbytes, used, meta.extra)


def data_state(path: Path) -> tuple[int, ...]:
    """Return a value that changes with an entry's data, to verify the same data only once."""
    status = (path / "data.npy").stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def content_key(parts: Parts) -> str:
    """Return the key of `parts`: their SHA-256, shortened."""
    return hashlib.sha256(to_json(dict(parts)).encode()).hexdigest()[:40]


def _read_meta(path: Path) -> _Meta:
    """Return an entry's metadata; raise if anything but the data's checksum is wrong."""
    if not is_folder(path):
        raise ValueError("not a folder")
    with _open_regular_file(path / "meta.json") as file:
        found = from_json(file.read(), dict[str, Any])
    stated = found.pop("meta_crc32")
    if zlib.crc32(to_json(found).encode()) != stated:
        raise ValueError("damaged metadata")
    meta = convert(found, _Meta)
    if (meta.kind, content_key(meta.parts)) != (path.parent.name, path.name):
        raise ValueError("another entry's folder")
    status = (path / "data.npy").lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size != meta.nbytes:
        raise ValueError("damaged data")
    return meta


def _verify(data: Path, meta: _Meta) -> None:
    with _open_regular_file(data) as file:
        header, crc = zlib.crc32(file.read(meta.header_bytes)), 0
        while chunk := file.read(CHUNK_BYTES):
            crc = zlib.crc32(chunk, crc)
    if (header, crc) != (meta.header_crc32, meta.data_crc32):
        raise ValueError("damaged data")


def _open_regular_file(path: Path) -> IO[bytes]:
    """Open a regular file for reading; a pipe or device would block."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ValueError(f"{path} is not a regular file")
    return path.open("rb")


def _map_data(path: Path) -> NDArray[Any]:
    data: NDArray[Any] = np.load(path / "data.npy", mmap_mode="r")
    return data


def _last_used(path: Path) -> float:
    try:
        return (path / "used").stat().st_mtime
    except OSError:
        return (path / "meta.json").stat().st_mtime
