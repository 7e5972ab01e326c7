"""SHA-256 of large files, remembered so that a file is read only once."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import Path

from bench.system.files import from_json, to_json, write_atomic

# A file modified this recently may change again within the resolution of its timestamps.
SETTLED_SECONDS = 3.0
Known = tuple[int, int, int, int, str]
"""Size, inode, times of the last change to content and inode, and the digest."""


class FileDigests:
    """Digests by path, each valid while the file's size, inode and times stay the same."""

    def __init__(self, memory: Path, *, read_only: bool = False) -> None:
        """`memory`: the JSON file in which digests are remembered; losing it is harmless."""
        self._memory, self._read_only = memory, read_only
        self._known: dict[str, Known] = {}
        with suppress(OSError, ValueError, RecursionError):
            self._known = from_json(memory.read_text(encoding="utf-8"), dict[str, Known])

    def sha256(self, path: Path) -> str:
        """Return the digest of the file's content."""
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
                write_atomic(self._memory, to_json(self._known))
        return digest
