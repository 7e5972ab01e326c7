"""Atomic writing, temporary files, JSON, and reading of text and TOML files that users write.

A file that is being written has a hidden name that ends in `PID-HEX`. The first digits of HEX
identify the machine and container in which the process number is valid. Readers of results or of
the cache ignore such names, and `remove_stale` removes those whose process has ended.
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

# A process's start time and a file's time come from two clocks, which may differ by this much.
CLOCKS_DIFFER_SECONDS = 60
# A process of another machine or container cannot be looked up; its files are kept this long.
FOREIGN_SECONDS = 24 * 3600
_NAME = re.compile(r"\..*\.(\d+)-([0-9a-f]{8})[0-9a-f]{8}")


def write_atomic(path: Path, content: str | bytes | Iterable[str]) -> None:
    """Write `content`, given whole or in parts, to `path` atomically: readers see the old file or
    the new one. Missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(path)
    parts = (content,) if isinstance(content, str | bytes) else content
    try:
        with name_in_errors(path):
            with temporary.open("wb") as file:
                for part in parts:
                    # Python represents file names that are not UTF-8 with lone surrogates.
                    file.write(
                        part if isinstance(part, bytes) else part.encode(errors="backslashreplace")
                    )
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
    """Add `path` to the operating system's errors: errors of writing name no file, and errors of
    renaming name the temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def temporary_sibling(path: Path) -> Path:
    """Return a new hidden name in the folder of `path`, to write to and then rename to `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}-{_machine_mark()}{uuid.uuid4().hex[:8]}")


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Create a temporary folder in `folder`, which is removed afterwards.

    If the process is killed, `remove_stale` removes it.
    """
    path = temporary_sibling(folder / "work")
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        remove(path)


def is_abandoned(path: Path) -> bool:
    """Return whether `path` has a temporary name whose process has ended."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return False
    pid, where = int(match[1]), match[2]
    try:
        written = _last_written(path)
    except OSError:  # removed by another process meanwhile
        return False
    if where != _machine_mark():
        return time.time() - written > FOREIGN_SECONDS
    started = _start_time(pid)
    # A process that started later has reused the number, as is common in containers.
    return started is None or started > written + CLOCKS_DIFFER_SECONDS


def remove_stale(folder: Path, *, recursive: bool = True) -> None:
    """Remove temporary files and folders that killed processes left in `folder`."""
    for at, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if is_abandoned(path := Path(at, name)):
                remove(path)
        if not recursive:
            break


def remove(path: Path) -> None:
    """Delete a file, a link or a folder with its content; do nothing if it is missing."""
    if is_folder(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def bytes_on_disk(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder, without following links."""
    total = 0
    with suppress(OSError):  # it may be deleted meanwhile
        if not is_folder(path):
            return path.lstat().st_size
        for _, nbytes in iterate_files(path):
            total += nbytes
    return total


def iterate_files(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the relative path and size in bytes of each file in a folder, at any depth.

    Links are not followed.
    """
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as found:
            for one in found:  # up to millions of files: Path objects would be slow
                if one.is_dir(follow_symlinks=False):
                    waiting.append(f"{below}{one.name}/")
                else:
                    yield below + one.name, one.stat(follow_symlinks=False).st_size


def is_folder(path: Path) -> bool:
    """Return whether `path` is a folder and not a link to one; False if access is denied."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


@cache
def _machine_mark() -> str:
    """Return eight hex digits that identify this machine since it booted, and this container."""
    marks = [platform.node()]
    try:
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        marks.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:  # not Linux: only the host name is available
        pass
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:8]


def _last_written(path: Path) -> float:
    newest = path.lstat().st_mtime
    if is_folder(path):
        newest = max([newest, *(inside.lstat().st_mtime for inside in path.iterdir())])
    return newest


def _start_time(pid: int) -> float | None:
    """Return when a process started; None if it has ended, 0 if access is denied."""
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
    """Return a value, which may contain dataclasses, as JSON with sorted keys.

    Equal values give equal text. NaN raises ValueError. Characters that UTF-8 cannot encode, from
    file names that are not UTF-8, are escaped.
    """
    text = json.dumps(
        value, indent=indent, sort_keys=True, ensure_ascii=False, allow_nan=False, default=fields_of
    )
    return text.encode(errors="backslashreplace").decode()


def from_json(text: str | bytes, kind: type[T]) -> T:
    """Return an object of type `kind` from the JSON of `to_json`, with all types checked.

    Unknown keys are ignored. Wrong content raises ValueError that names the key, or RecursionError.
    `vars` of the result lacks the fields that have their default. The standard library parses the
    text, because msgspec's parser refuses lone surrogates.
    """
    return msgspec.convert(json.loads(text), kind)


def read_text(path: Path, what: str, refuse: type[UsageError] = UsageError) -> str:
    """Return the text of a UTF-8 file that a user wrote, without a byte order mark.

    `what` names the file in errors, which are of type `refuse`.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise refuse(f"{what} {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise refuse(f"{what} {path} is not UTF-8 text; save it as such.") from error


def read_toml(path: Path, what: str, refuse: type[UsageError] = UsageError) -> dict[str, Any]:
    """Return the content of a TOML file that a user wrote; arguments as in `read_text`."""
    import tomllib  # late: few commands read one

    text = read_text(path, what, refuse)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise refuse(f"{what} {path} is not valid TOML: {error}.") from error


def fields_of(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields by name, without converting the values."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def safe_name(text: str) -> str:
    """Return `text` as a name that is safe in file systems and shells; it may be empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:60]


def is_file_name(text: str) -> bool:
    """Return whether `text` is a plain file name, without a path."""
    return bool(text) and text not in (".", "..") and not set(text) & set("/\\\0")
