"""A run's folder: its name, its lock, and `run.json`: the request, protocol, data set, settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from filelock import FileLock, Timeout
from msgspec import Meta

from bench.errors import BenchError, UsageError, one_line, os_error_text
from bench.protocol import Head, Phase
from bench.system.files import from_json, is_file_name, remove
from bench.system.locks import describe_process, lock_holder
from bench.types import DEFAULT_MARGIN, Measuring, Settings

REWRITE_REMEDY = "the same `run` command writes it again and keeps all trained models."
T = TypeVar("T")


@dataclass(frozen=True)
class RunProtocol:
    """The protocol in `run.json`: a `TrainingProtocol` and its digest."""

    name: str = ""
    summary: str = ""
    digest: str = ""
    head: Head = field(default_factory=Head)
    phases: tuple[Phase, ...] = ()
    input_size: int | None = None
    batch_size: int = 32


@dataclass(frozen=True)
class RunData:
    """The data set in `run.json`."""

    name: str = ""
    description: str = ""
    fingerprint: str = ""
    classes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    excluded: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """A backbone that the run skipped, and why."""

    backbone: str = "?"
    reason: str = "no reason was stored"


@dataclass(frozen=True)
class RunMeta:
    """The content of `run.json`; older and interrupted runs lack some of it."""

    schema: int = 0
    name: str = ""
    created: str = ""
    command: tuple[str, ...] = ()
    request: Any = None  # see `bench/execution/request.py`; not in version 0.1
    asked: tuple[str, ...] | None = None  # keys of the last command's trials; not in version 0.1
    identity: Mapping[str, Any] = field(default_factory=dict)  # facts that are fixed for a run
    dataset: RunData = RunData()
    protocol: RunProtocol = RunProtocol()
    settings: Settings = field(default_factory=Settings)
    measuring: Measuring = field(default_factory=Measuring)
    environment: Mapping[str, Any] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    broken_plugins: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    price_per_hour: float | None = None
    kept_weights: tuple[str, ...] = ()  # trials whose weights commands before the last one kept
    margin: Annotated[float, Meta(gt=0, lt=100)] = DEFAULT_MARGIN  # percentage points


def read_meta(folder: Path) -> RunMeta:
    """Read a run's `run.json`; return the defaults if there is none yet."""
    found = read_json(folder / "run.json", RunMeta, f"Move it elsewhere: {REWRITE_REMEDY}")
    return found or RunMeta()


def read_json(
    path: Path, kind: type[T], remedy: str, check: Callable[[T], None] = lambda found: None
) -> T | None:
    """Read one JSON file of a run's folder; None if it does not exist.

    `check` raises ValueError for content that is wrong. The error about a damaged file ends with
    `remedy`.
    """
    try:
        found = from_json(path.read_text(encoding="utf-8"), kind)
        check(found)
        return found
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BenchError(os_error_text(error) or f"{path} cannot be read: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path} is damaged ({one_line(error)[:200]}). {remedy}") from error


LOCK = ".lock"  # held by the process that writes the run
JOBS = "jobs"  # one folder for each cluster job; a job whose folder is deleted ends
LATEST = "latest"  # a link to the newest run, or a file whose first line names it
RESERVED_NAMES = (LATEST, "index.html")  # entries of `results/` that are not runs
MAX_NAME_BYTES = 200  # file systems allow 255, from which temporary names need some


def check_name(name: str) -> None:
    """Raise UsageError for a name that a run cannot have, or that would hide it from a listing."""
    if not is_file_name(name):
        why = "it must be a plain folder name"
    elif name.lower() in RESERVED_NAMES:
        why = "that name is reserved in the results folder"
    elif not name.isprintable() or name != name.strip():
        why = "it may not contain line breaks or control characters, or have spaces at its ends"
    elif name.startswith((".", "-")):
        why = f"it may not begin with {name[0]!r}"
    elif len(name.encode()) > MAX_NAME_BYTES:
        why = f"it may have at most {MAX_NAME_BYTES} bytes"
    else:
        return
    raise UsageError(f"--run {name!r}: {why}; give another name.")


def refuse_links(folder: Path) -> None:
    """Raise BenchError if a symbolic link in a run's folder leads out of it: files outside the run
    would be read or overwritten."""
    home = folder.resolve()
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(at, name)
            if path.is_symlink() and not _points_into(path, home):
                raise BenchError(
                    f"{path} is a link that leads out of the run's folder, so nothing is written "
                    f"there; remove it, or replace it with its target."
                )


def _points_into(link: Path, folder: Path) -> bool:
    try:
        with suppress(FileNotFoundError):
            link.stat()  # `resolve` accepts a loop of links from Python 3.13 on
        return link.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):
        return False


def run_json_paths(folder: Path) -> list[Path]:
    """Return the `run.json` files of a folder: the run's, then those of its screening rounds.

    A screening whose run has not begun has the latter only.
    """
    return [*folder.glob("run.json"), *folder.glob("screening/*/run.json")]


def find_run(results: Path, name: str, *, screening: bool = False) -> Path:
    """Return the folder of a run, given by name, by path, or as `latest`.

    `screening`: also find a run of which only the screening has begun.
    """
    for folder in (results / name, Path(name)):
        if folder.name == LATEST and folder.is_file():  # on file systems without links
            first, *_ = [*folder.read_text(encoding="utf-8", errors="replace").splitlines(), ""]
            folder = folder.parent / first.strip()
        if (folder / "run.json").is_file() or (screening and run_json_paths(folder)):
            return folder.resolve()
    known = sorted(p.parent.name for p in results.glob("*/run.json") if not p.parent.is_symlink())
    if name == LATEST and known and not any(results.glob("*/report.md")):
        how = " or ".join(f"`status {run}`" for run in known)
        raise UsageError(f"no run in {results} has finished yet; {how} shows its progress.")
    listed = ", ".join(known) if known else "none yet"
    raise UsageError(f"there is no run {name!r} in {results}. Known: {listed}.")


@contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Lock a run's folder for writing; BenchError if another process has locked it."""
    folder.mkdir(parents=True, exist_ok=True)
    refuse_links(folder)
    try:
        lock = FileLock(folder / LOCK).acquire(timeout=0)
    except Timeout as error:
        pid = lock_holder(folder / LOCK)
        who = "" if pid is None else f" ({describe_process(pid)})"
        raise BenchError(
            f"another process is writing run {folder.name}; wait for it{who}."
        ) from error
    with lock:
        yield


def prepare_run_folder(results: Path, name: str, *, fresh: bool) -> Path:
    """Return the run's folder. With `fresh`, an earlier run of that name is renamed first."""
    folder = results / name
    if fresh and folder.exists():
        with lock_run(folder):  # another process may be writing it
            used = any(path.name != LOCK for path in folder.iterdir())
            if used and sys.platform != "win32":
                _move_aside(folder)
        if used and sys.platform == "win32":  # it cannot rename a folder with an open file
            _move_aside(folder)
    return folder


def _move_aside(folder: Path) -> None:
    remove(folder / JOBS)
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    folder.rename(aside)
