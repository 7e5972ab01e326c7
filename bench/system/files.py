"""Write files so that a reader never sees half of one, remove what killed ones left; JSON, and the
files that users write.

What is being written has a hidden name that ends in `PID-HEX`, whose first digits identify the
machine and container in which that process number is valid. Readers of results or of the cache
ignore such names, and `remove_stale` removes those whose process has ended.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench.errors import UsageError

T = TypeVar("T")

# A process's start is measured by the system's clock ticks, a file's age by its disk's clock.
CLOCKS_DIFFER_SECONDS = 60
# A process of another machine or container cannot be looked up: its files are kept this long.
FOREIGN_SECONDS = 24 * 3600
_NAME = re.compile(r"\..*\.(\d+)-([0-9a-f]{8})[0-9a-f]{8}")


def write_atomic(path: Path, content: str | bytes | Iterable[str]) -> None:
    """Put `content`, or its parts in turn, at `path`: at any instant the old file or the new one is
    there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = temporary_sibling(path)
    parts = (content,) if isinstance(content, str | bytes) else content
    try:
        with name_in_errors(path):
            with aside.open("wb") as file:
                for part in parts:
                    # Python represents a file name that is not UTF-8 with lone surrogates.
                    file.write(
                        part if isinstance(part, bytes) else part.encode(errors="backslashreplace")
                    )
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


@contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
    """Put `path` into the operating system's errors: those of writing name no file, and those of
    renaming name the temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def temporary_sibling(path: Path) -> Path:
    """Return where to write what will be renamed to `path`: a hidden name in the same folder."""
    return path.with_name(f".{path.name}.{os.getpid()}-{_machine_mark()}{uuid.uuid4().hex[:8]}")


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Create a temporary folder in `folder` for this process alone, removed afterwards, or by
    `remove_stale` if the process was killed."""
    path = temporary_sibling(folder / "work")
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        remove(path)


def is_abandoned(path: Path) -> bool:
    """Return whether `path` is a temporary name whose process has ended."""
    named = _NAME.fullmatch(path.name)
    if named is None:
        return False
    pid, where = int(named[1]), named[2]
    try:
        written = _last_written(path)
    except OSError:  # removed by another process meanwhile
        return False
    if where != _machine_mark():
        return time.time() - written > FOREIGN_SECONDS
    began = _start_time(pid)
    # A process that began later has taken the number over, as is common in containers.
    return began is None or began > written + CLOCKS_DIFFER_SECONDS


def remove_stale(folder: Path, *, below: bool = True) -> None:
    """Remove what killed processes left half written in `folder`, and in the folders below it."""
    for at, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if is_abandoned(path := Path(at, name)):
                remove(path)
        if not below:
            break


def remove(path: Path) -> None:
    """Delete a file, a link or a folder; another process may have deleted it already."""
    if is_folder(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def bytes_on_disk(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; links are not followed."""
    total = 0
    with suppress(OSError):  # it may be deleted meanwhile
        if not is_folder(path):
            return path.lstat().st_size
        for _, nbytes in iterate_files(path):
            total += nbytes
    return total


def iterate_files(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield name and size of every file below a folder; of a link, its own size."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as found:
            for one in found:  # there may be a million: no Path objects
                if one.is_dir(follow_symlinks=False):
                    waiting.append(f"{below}{one.name}/")
                else:
                    yield below + one.name, one.stat(follow_symlinks=False).st_size


def is_folder(path: Path) -> bool:
    """Return whether it is a folder itself, not a link to one; False where access is denied."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


@cache
def _machine_mark() -> str:
    """Return a mark of this machine since it booted, and of this container."""
    marks = [platform.node()]
    try:
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        marks.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:  # not Linux: the host name must do
        pass
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:8]


def _last_written(path: Path) -> float:
    newest = path.lstat().st_mtime
    if is_folder(path):
        newest = max([newest, *(inside.lstat().st_mtime for inside in path.iterdir())])
    return newest


def _start_time(pid: int) -> float | None:
    """Return when a process began; `None` if it has ended, 0 if that is not accessible."""
    import psutil  # late: not every command looks for stale files

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:  # it exists, but may not be inspected
        return 0.0


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return JSON with sorted keys, of dataclasses too, so that equal values give equal text.

    NaN is refused; what UTF-8 cannot encode, as in file names that are not UTF-8, is escaped.
    """
    text = json.dumps(
        value, indent=indent, sort_keys=True, ensure_ascii=False, allow_nan=False, default=fields_of
    )
    return text.encode(errors="backslashreplace").decode()


def from_json(text: str | bytes, kind: type[T]) -> T:
    """Return the `kind` that `to_json` wrote, every value checked against its field's type.

    Unknown keys are ignored; `vars` of the result lacks fields that have their default. Anything
    wrong is a ValueError that says where, or a RecursionError.
    The standard library parses the text, since msgspec's own parser refuses half surrogate pairs.
    """
    return msgspec.convert(json.loads(text), kind)


def read_text(path: Path, what: str, refuse: type[UsageError] = UsageError) -> str:
    """Return the text of a file that a user wrote, without the mark that some editors put first.

    `what` names the file in errors, which are of the kind `refuse`.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise refuse(f"{what} {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise refuse(f"{what} {path} is not UTF-8 text; save it as such.") from error


def read_toml(path: Path, what: str, refuse: type[UsageError] = UsageError) -> dict[str, Any]:
    """Return the content of a TOML file that a user wrote, as `read_text` reads it."""
    import tomllib  # late: few commands read one

    text = read_text(path, what, refuse)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise refuse(f"{what} {path} is not valid TOML: {error}.") from error


def fields_of(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields by name, as they are."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def safe_name(text: str) -> str:
    """Replace all characters that could be a problem for a file system or a shell; may be empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:60]


def is_file_name(text: str) -> bool:
    """Return whether `text` is a plain file name, without a path."""
    return bool(text) and text not in (".", "..") and not set(text) & set("/\\\0")
