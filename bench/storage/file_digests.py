"""SHA-256 of large files, remembered so that a file is read once and not in every run."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import Path

from bench.system.files import from_json, to_json, write_atomic

# A file that was written to just now may be written to again without its times showing it.
SETTLED_SECONDS = 3.0
Known = tuple[int, int, int, int, str]
"""Size, inode, times of the last change to content and inode, and the digest."""


class FileDigests:
    """Digests by path, each valid as long as the file's size, inode and times are the same."""

    def __init__(self, memory: Path, *, read_only: bool = False) -> None:
        """`memory`: the JSON file in which digests are remembered; it may be lost, and must not be
        written where it is only to be read."""
        self._memory, self._read_only = memory, read_only
        self._known: dict[str, Known] = {}
        with suppress(OSError, ValueError, RecursionError):
            self._known = from_json(memory.read_text(encoding="utf-8"), dict[str, Known])

    def sha256(self, path: Path) -> str:
        """Return the digest of the file's content."""
        path = path.resolve()
        status = path.stat()
        # The time of the last change to the inode too: copying may put an earlier mtime back.
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
