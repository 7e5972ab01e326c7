"""Records on disk: the files of a run, and how they are read.

    results/<run>/
      run.json        the request: protocol, settings, dataset summary, what was skipped and why
      dataset.json    class names, and the images and labels of each split
      records.jsonl   one line per trial, finished or failed
      arrays/KEY.npz  the raw results of one trial: labels, probabilities, durations (`arrays.py`)
      logs/KEY.log    the output of the trial's process

Writing is atomic, and a record is written after its arrays, so that every record has its arrays.
Format history: 1, the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

from msgspec import Meta

from bench.errors import BenchError, os_error_text
from bench.protocol import Head, Phase
from bench.storage.arrays import Array, read_arrays
from bench.system.files import from_json, to_json, write_atomic
from bench.types import DEFAULT_MARGIN, Dataset, Measuring, Record, Settings, Trial

SCHEMA = 1
REMADE = "the same `run` command writes it again and keeps what is trained."
T = TypeVar("T")


@dataclass(frozen=True, eq=False)  # by identity: metrics may remember what they derived last
class Evidence:
    """One record with its raw arrays, which are read on first use: the input of a metric."""

    record: Record
    classes: tuple[str, ...]
    folder: Path

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        """Return the raw arrays by name; none for a failed trial.

        `test_labels`, `test_probabilities` (images x classes, float64), the same for
        `validation`, `phase_test_probabilities` (phases x images x classes, after each phase),
        `robust_*` (see `bench/training/robustness.py`), and `latency_<runtime>_b<batch>`,
        `warmup_<runtime>_b<batch>` (seconds per query).
        """
        return read_arrays(self.folder, self.record, len(self.classes))


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

    schema: int = SCHEMA
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


@dataclass(frozen=True)
class _Format:
    """The one field that is read of a record of a later format."""

    schema: int


@dataclass(frozen=True)
class Run:
    """One run, read from its folder."""

    folder: Path
    meta: RunMeta
    dataset: Dataset
    every: tuple[Record, ...]  # in the order they were made

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Return the trials on the largest share of the training images: only these are ranked."""
        return tuple(r for r in self.every if r.trial.fraction == self._largest)

    @cached_property
    def smaller(self) -> tuple[Record, ...]:
        """Return the trials on smaller shares, for learning curves."""
        return tuple(r for r in self.every if r.trial.fraction < self._largest)

    @cached_property
    def _largest(self) -> float:
        return max((record.trial.fraction for record in self.every), default=1.0)

    @cached_property
    def evidence(self) -> tuple[Evidence, ...]:
        return tuple(Evidence(r, self.dataset.classes, self.folder) for r in self.records)


def load_run(folder: Path) -> Run:
    """Read a run's folder; an error names the file that is missing or damaged."""
    if not (folder / "run.json").is_file():
        raise BenchError(
            f"{folder} holds no run (no run.json); `results/` lists the runs there are."
        )
    return Run(folder, read_meta(folder), read_dataset(folder), read_records(folder))


def read_meta(folder: Path) -> RunMeta:
    """Read a run's `run.json`; the defaults where there is none yet."""
    path = folder / "run.json"
    if not path.exists():
        return RunMeta()
    return _read(path, lambda text: from_json(text, RunMeta), f"Move it elsewhere: {REMADE}")


def read_dataset(folder: Path) -> Dataset:
    """Read the images and labels of a run: its `dataset.json`."""

    def checked(text: str) -> Dataset:
        dataset = from_json(text, Dataset)
        "".join(dataset.classes).encode()  # fails where a class name is not valid Unicode
        for name, split in dataset.splits.items():
            if len(split.ids) != len(split.labels):
                raise ValueError(
                    f"split {name!r} has {len(split.ids)} ids, {len(split.labels)} labels"
                )
            if not all(0 <= label < len(dataset.classes) for label in split.labels):
                raise ValueError(f"split {name!r} has labels of no class")
        return dataset

    return _read(folder / "dataset.json", checked, f"Nothing else is lost: {REMADE}")


def _read(path: Path, checked: Callable[[str], T], remedy: str) -> T:
    """Read one JSON file of a run's folder through `checked`; an error says what to do."""
    try:
        return checked(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BenchError(f"{path} is gone. {remedy}") from error
    except OSError as error:
        raise BenchError(os_error_text(error) or f"{path} cannot be read: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path} is damaged ({_in_short(error)}). {remedy}") from error


def _in_short(error: Exception) -> str:
    """Return an error of reading JSON in one line."""
    return " ".join(str(error).split())[:200]


def read_records(folder: Path) -> tuple[Record, ...]:
    """Return the run's records in the order they were made, the last one of each place."""
    return newest(read_lines(folder))


def read_lines(folder: Path) -> list[Record]:
    """Return the records of all lines; a place may occur twice where another program wrote them."""
    path = folder / "records.jsonl"
    try:
        # Not `splitlines`, which also splits at U+2028 and U+0085, and names may hold these.
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise BenchError(os_error_text(error) or f"{path} cannot be read: {error}.") from error
    return [_record(path, number, line) for number, line in enumerate(lines, 1) if line]


def _record(path: Path, number: int, line: str) -> Record:
    try:
        schema = from_json(line, _Format).schema
        if schema > SCHEMA:
            raise BenchError(
                f"{path} line {number} has format {schema}, this program reads up to {SCHEMA}; "
                f"update backbone-bench."
            )
        record = from_json(line, Record)
        phases = [*record.phases, *(phase for rate in record.tuning for phase in rate.phases)]
        if not all(0 <= phase.best_epoch <= len(phase.epochs) for phase in phases):
            raise ValueError("its best epoch is not among its epochs")
        return record
    except (ValueError, RecursionError) as error:
        raise BenchError(
            f"{path} line {number} is not a record ({_in_short(error)}). Delete that line: the "
            f"same `run` command then trains its trial again and keeps the others."
        ) from error


def place(trial: Trial) -> tuple[str, int, int, float]:
    """Return what identifies a trial within its run: a run holds one record of each."""
    return trial.backbone, trial.input_size, trial.seed, trial.fraction


def newest(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return the last record of each place, in the order in which they were made."""
    kept: dict[tuple[str, int, int, float], Record] = {}
    for record in records:
        kept.pop(place(record.trial), None)
        kept[place(record.trial)] = record
    return tuple(kept.values())


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Write the images and labels of a run to `dataset.json`."""
    write_atomic(folder / "dataset.json", to_json(dataset))


def write_records(folder: Path, records: Iterable[Record]) -> None:
    """Replace a run's records, all at once: a reader never sees half a line."""
    write_lines(folder, map(to_json, records))


def write_lines(folder: Path, lines: Iterable[str]) -> None:
    """Replace a run's records by encoded ones."""
    write_atomic(folder / "records.jsonl", "".join(line + "\n" for line in lines))
