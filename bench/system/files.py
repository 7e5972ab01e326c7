"""Writing files so that a reader never sees half of one, and reading JSON with good errors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.system.unfinished import beside


def write_atomic(path: Path, content: str | bytes) -> None:
    """Put `content` at `path`: at any instant the old file or the new one is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = beside(path)
    # Half of a surrogate pair is how Python holds a file name that is not UTF-8.
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    try:
        with naming(path):
            with aside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put `path` into errors of the operating system: writing does not say which file it was, and
    renaming names the temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON with sorted keys: the same value always gives the same text. NaN is refused; what UTF-8
    cannot hold, as in file names that are not UTF-8, is escaped and read back as it was."""
    text = json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace").decode()


def is_file_name(text: str) -> bool:
    """Whether `text` is one plain name that leads nowhere else."""
    return bool(text) and text not in (".", "..") and not set(text) & set("/\\\0")
