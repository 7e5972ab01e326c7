"""`run.json`, what a run is: its request, protocol, data set and settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from msgspec import Meta

from bench.errors import BenchError, os_error_text
from bench.protocol import Head, Phase
from bench.system.files import from_json
from bench.types import DEFAULT_MARGIN, Measuring, Settings

REMADE = "the same `run` command writes it again and keeps what is trained."
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
    """A backbone that is not run, and why."""

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
    asked: tuple[str, ...] | None = None  # the trials of the last command; not in version 0.1
    identity: Mapping[str, Any] = field(default_factory=dict)  # what may not change in a run
    dataset: RunData = RunData()
    protocol: RunProtocol = RunProtocol()
    settings: Settings = field(default_factory=Settings)
    measuring: Measuring = field(default_factory=Measuring)
    environment: Mapping[str, Any] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    broken_plugins: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    price_per_hour: float | None = None
    margin: Annotated[float, Meta(gt=0, lt=100)] = DEFAULT_MARGIN  # percentage points


def read_meta(folder: Path) -> RunMeta:
    """Read a run's `run.json`; the defaults where there is none yet."""
    path = folder / "run.json"
    if not path.exists():
        return RunMeta()
    return read_json(path, lambda text: from_json(text, RunMeta), f"Move it elsewhere: {REMADE}")


def read_json(path: Path, checked: Callable[[str], T], remedy: str) -> T:
    """Read one JSON file of a run's folder through `checked`; an error says what to do."""
    try:
        return checked(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BenchError(f"{path} is gone. {remedy}") from error
    except OSError as error:
        raise BenchError(os_error_text(error) or f"{path} cannot be read: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path} is damaged ({in_short(error)}). {remedy}") from error


def in_short(error: Exception) -> str:
    """Return an error of reading JSON in one line."""
    return " ".join(str(error).split())[:200]
