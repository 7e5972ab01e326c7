"""Records on disk: what a run leaves behind and how it is read again.

    results/<run>/
      run.json        what was asked: protocol, settings, dataset summary, what was skipped and why
      dataset.json    class names, and the images and labels of each split
      records.jsonl   one line a trial, finished or failed
      arrays/KEY.npz  the raw evidence of one trial: labels, probabilities, durations
      logs/KEY.log    what the trial's process printed

Writing is atomic, and a record is written after its arrays: where there is a record, there is its
evidence. Format history: 1, the first.
"""

from __future__ import annotations

import dataclasses
import io
import json
import types
import typing
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files import to_json, write_atomic
from bench.types import Dataset, Record

SCHEMA = 1
T = TypeVar("T")
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)  # by identity: metrics may remember what they derived last
class Evidence:
    """One record with its raw arrays, read when first asked for: what a metric looks at."""

    record: Record
    classes: tuple[str, ...]
    folder: Path

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        """Raw arrays by name; empty for a failed trial.

        `test_labels`, `test_probabilities` (images x classes, float64), the same for
        `validation`, `phase_test_probabilities` (phases x images x classes, after each phase),
        `robust_*` (see `bench/robustness`), and `latency_<runtime>_b<batch>`,
        `warmup_<runtime>_b<batch>` (seconds per query).
        """
        path = self.folder / "arrays" / f"{self.record.trial.key}.npz"
        if not path.exists():
            return {}
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise BenchError(
                f"{path} is damaged ({error}); remove it and its line in records.jsonl, and start "
                f"the run again."
            ) from error


@dataclass(frozen=True)
class Run:
    """One run read back from its folder; all that a report needs."""

    folder: Path
    meta: Mapping[str, Any]  # run.json
    dataset: Dataset
    every: tuple[Record, ...]  # in the order they were made

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """The trials on the largest share of the training images, which alone are ranked."""
        return tuple(r for r in self.every if r.trial.fraction == self._largest)

    @cached_property
    def smaller(self) -> tuple[Record, ...]:
        """Those on smaller shares, for a learning curve."""
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
    try:
        meta = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        dataset = structure(Dataset, json.loads((folder / "dataset.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BenchError(f"{folder} cannot be read: {error}") from error
    return Run(folder, meta, dataset, read_records(folder))


def read_records(folder: Path) -> tuple[Record, ...]:
    """All records of a run, in the order they were made."""
    path = folder / "records.jsonl"
    if not path.exists():
        return ()
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            raw = json.loads(line)
            if raw["schema"] > SCHEMA:
                raise BenchError(
                    f"{path} line {number} has format {raw['schema']}, this program reads up to "
                    f"{SCHEMA}; update backbone-bench."
                )
            found.append(structure(Record, raw))
        except (ValueError, TypeError, KeyError) as error:
            raise BenchError(f"{path} line {number} is not a record: {error}") from error
    return tuple(found)


def write_records(folder: Path, records: typing.Iterable[Record]) -> None:
    """Replace a run's records, all at once: a reader never meets half a line."""
    lines = [to_json(dataclasses.asdict(r)) for r in records]
    write_atomic(folder / "records.jsonl", "".join(line + "\n" for line in lines))


def write_arrays(folder: Path, key: str, arrays: Mapping[str, Array]) -> None:
    """Store the raw evidence of one trial."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(folder / "arrays" / f"{key}.npz", buffer.getvalue())


def structure(kind: type[T], raw: Any) -> T:
    """Rebuild a (nested) dataclass from what JSON gave; unknown keys are ignored."""
    rebuild: Callable[[Any], T] = _rebuilder(typing.cast(Any, kind))
    return rebuild(raw)


@cache
def _rebuilder(kind: Any) -> Callable[[Any], Any]:
    """What makes a `kind` of its JSON: worked out once a type, for there may be many records."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        fields = [(f.name, _rebuilder(hints[f.name])) for f in dataclasses.fields(kind)]
        return lambda raw: kind(**{n: rebuild(raw[n]) for n, rebuild in fields if n in raw})
    if origin is tuple:
        item = _rebuilder(inner[0])
        return lambda raw: tuple(map(item, raw))
    if origin in (dict, Mapping):
        value = _rebuilder(inner[1])
        return lambda raw: {name: value(one) for name, one in raw.items()}
    if origin in (typing.Union, types.UnionType):
        other = _rebuilder(next(a for a in inner if a is not type(None)))
        return lambda raw: None if raw is None else other(raw)
    return lambda raw: raw
