"""Records on disk: the files of a run, and how they are read.

    results/<run>/
      run.json        request, protocol, settings, skipped backbones and why (`run_folder.py`)
      dataset.json    class names, and the images and labels of each split
      records.jsonl   one line per trial, finished or failed
      progress.json   the current state of the command that writes the run (`execution/status.py`)
      arrays/KEY.npz  the raw results of one trial: labels, probabilities, durations (`arrays.py`)
      logs/*.log      the output of the trial's process

One trial of a backbone holds the backbone's soup. Its record says which seeds were averaged
(`Soup`), and its arrays have the soup's probabilities. The averaged weights are not stored:
`bench.models.rebuild` averages those of the seeds.

Writing is atomic, and a record is written after its arrays, so that every record has its arrays. A
running command appends to `records.jsonl`, a newer record of a trial after the older one; at its
end it leaves one line for each trial. A last line that is cut off is ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from sys import intern
from typing import Any, TypeAlias

from msgspec import convert

from bench.errors import BenchError, one_line, os_error_text
from bench.storage.arrays import Array, read_arrays
from bench.storage.run_folder import REWRITE_REMEDY, RunMeta, read_json, read_meta
from bench.system.command_line import relocate_command, results_option
from bench.system.files import fields_of, name_in_errors, to_json, write_atomic
from bench.types import Dataset, Record, SoupTrial, Trial

SCHEMA = 1

# The arrays of a trial's predictions after training.
TEST_ARRAYS = ("test_labels", "test_probabilities")
VALIDATION_ARRAYS = ("validation_labels", "validation_probabilities")
SOUP_PREFIX = "soup_"  # of the names of a soup's arrays in the file of the trial that holds it


@dataclass(frozen=True, eq=False)  # compared by identity, so that metrics can cache by it
class Evidence:
    """One record with its raw arrays, which are read on first use: the input of a metric."""

    record: Record
    classes: tuple[str, ...]
    folder: Path
    only: Collection[str] = ()  # names of the arrays to read; empty: all

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        """Return the raw arrays by name; empty for a failed trial.

        `test_labels`, `test_probabilities` (images x classes, float64), the same for
        `validation`, `phase_test_probabilities` (phases x images x classes, after each phase),
        `explained_*` and `map*` (see `bench/analysis/explanations.py`), `robust_*`, `knn_*` and
        `logistic_*` (see `bench/training/`), and `latency_<runtime>_b<batch>`,
        `warmup_<runtime>_b<batch>` (seconds per query). A soup has labels and probabilities.
        """
        if isinstance(self.record.trial, SoupTrial):
            return _soup_arrays(read_arrays(self.folder, self.record, len(self.classes)))
        return read_arrays(self.folder, self.record, len(self.classes), self.only)


@dataclass(frozen=True)
class StoredRun:
    """One run, read from its folder."""

    folder: Path
    meta: RunMeta
    dataset: Dataset
    all_records: tuple[Record, ...]  # in the order they were written
    failed_reruns: tuple[Record, ...] = ()  # failed after a finished record, kept in `all_records`

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def command(self) -> list[str]:
        """Return the last command, with the results folder in which the run is now."""
        return relocate_command(self.meta.command, self.folder.parent)

    @property
    def results_option(self) -> tuple[str, ...]:
        """Return the `--results` option that other commands need to find this run; may be empty."""
        return results_option(self.meta.command, self.folder.parent)

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Return the records of trials on the largest training fraction: only these are ranked."""
        return tuple(r for r in self.all_records if r.trial.fraction == self._largest_fraction)

    @cached_property
    def subset_records(self) -> tuple[Record, ...]:
        """Return the records of trials on smaller training fractions, for learning curves."""
        return tuple(r for r in self.all_records if r.trial.fraction < self._largest_fraction)

    @cached_property
    def _largest_fraction(self) -> float:
        return max((record.trial.fraction for record in self.all_records), default=1.0)

    @cached_property
    def evidence(self) -> tuple[Evidence, ...]:
        return tuple(map(self.evidence_of, self.records))

    def evidence_of(self, record: Record, only: Collection[str] = ()) -> Evidence:
        """Return a record of this run with its arrays, all or those named in `only`."""
        return Evidence(record, self.dataset.classes, self.folder, only)


def read_run(folder: Path) -> StoredRun:
    """Read a run's folder; an error names the file that is missing or damaged."""
    if not (folder / "run.json").is_file():
        raise BenchError(f"{folder} holds no run (no run.json); give the folder of a run.")
    meta, dataset, records = read_meta(folder), read_dataset(folder), read_records(folder)
    finished = {trial_slot(record.trial) for record in records if record.status == "ok"}
    reruns = [r for r in records if r.status == "failed" and trial_slot(r.trial) in finished]
    others = tuple(record for record in records if record not in reruns)
    return StoredRun(folder, meta, dataset, others, tuple(reruns))


def read_dataset(folder: Path) -> Dataset:
    """Read the images and labels of a run: its `dataset.json`."""
    path, remedy = folder / "dataset.json", f"Nothing else is lost: {REWRITE_REMEDY}"
    dataset = read_json(path, Dataset, remedy, _check_dataset)
    if dataset is None:
        raise BenchError(f"{path} is missing. {remedy}")
    return dataset


def _check_dataset(dataset: Dataset) -> None:
    "".join(dataset.classes).encode()  # fails where a class name is not valid Unicode
    for name, split in dataset.splits.items():
        if len(split.ids) != len(split.labels):
            raise ValueError(f"split {name!r} has {len(split.ids)} ids, {len(split.labels)} labels")
        if not all(0 <= label < len(dataset.classes) for label in split.labels):
            raise ValueError(f"split {name!r} has labels outside the classes")


def read_records(folder: Path) -> tuple[Record, ...]:
    """Return the run's records in the order they were written, the newest of each slot."""
    return newest_records(read_all_records(folder))


def read_all_records(folder: Path) -> list[Record]:
    """Return the records of all lines; a slot may occur twice if a command runs or was killed."""
    path, found = folder / "records.jsonl", list[Record]()
    try:
        with path.open("rb") as file:  # bytes: text would also be split at U+2028, as in names
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n") and _is_truncated(line):
                    break  # its writer may be about to continue this line
                if text := line.decode().removesuffix("\n"):
                    found.append(_parse_record(path, number, text))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise BenchError(os_error_text(error) or f"{path} cannot be read: {error}.") from error
    return found


def _is_truncated(line: bytes) -> bool:
    """Return whether a last line is still being written, or its writer was killed."""
    try:
        json.loads(line)
    except RecursionError:  # the line is complete; reading it raises an error
        return False
    except ValueError:
        return True
    return False


def _parse_record(path: Path, number: int, line: str) -> Record:
    try:
        raw = convert(json.loads(line, object_hook=_intern_strings), dict[str, Any])
        if isinstance(schema := raw.get("schema"), int) and schema > SCHEMA:
            raise BenchError(
                f"{path} line {number} has format {schema}, this program reads up to {SCHEMA}; "
                f"update backbone-bench."
            )
        record = convert(raw, Record)
        phases = [*record.phases, *(phase for rate in record.tuning for phase in rate.phases)]
        if not all(0 <= phase.best_epoch <= len(phase.epochs) for phase in phases):
            raise ValueError("its best epoch is not among its epochs")
        return record
    except (ValueError, RecursionError) as error:
        raise BenchError(
            f"{path} line {number} is not a record ({one_line(error)[:200]}). Delete that line: "
            f"the same `run` command then trains its trial again and keeps the others."
        ) from error


def _intern_strings(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with their strings interned: the records of a run share most strings."""
    return {
        intern(name): intern(value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def trial_slot(trial: Trial) -> tuple[str, int, int, float]:
    """Return the slot of a trial in its run: of all records of a slot, one is shown."""
    return trial.backbone, trial.input_size, trial.seed, trial.fraction


# By slot, and whether the record is a failed rerun next to a finished one.
KeptRecords: TypeAlias = dict[tuple[Hashable, bool], Record]


def supersede(kept: KeptRecords, record: Record) -> list[Record]:
    """Add a new record to `kept`; return the records that it replaces there.

    A trial that failed with other weights or code than the finished one of its slot replaces
    nothing: both are kept until one finishes.
    """
    slot = trial_slot(record.trial)
    earlier = kept.get((slot, False))
    is_rerun = (
        record.status == "failed"
        and earlier is not None
        and earlier.status == "ok"
        and earlier.trial.key != record.trial.key
    )
    replaced = [kept.pop((slot, rerun), None) for rerun in ((True,) if is_rerun else (True, False))]
    kept[slot, is_rerun] = record
    return [record for record in replaced if record is not None]


def newest_records(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return the newest record of each slot, in the given order; see `supersede`."""
    kept: KeptRecords = {}
    for record in records:
        supersede(kept, record)
    return tuple(kept.values())


def soup_record(record: Record) -> Record | None:
    """Return the record of the soup that a trial holds; None if there is none, or of one seed."""
    seeds = record.soup.seeds if record.soup is not None else ()
    if len(seeds) < 2:
        return None
    trial = SoupTrial(**fields_of(record.trial), averaged=seeds)
    return replace(record, trial=trial, phases=(), tuning=(), runtimes=(), session=None)


def weight_sources(records: Iterable[Record], model: Record) -> tuple[Record, ...]:
    """Return the trials whose weights a model has: itself or, for a soup, its ingredients."""
    return soup_ingredients(records, model) if isinstance(model.trial, SoupTrial) else (model,)


def soup_ingredients(records: Iterable[Record], holder: Record) -> tuple[Record, ...]:
    """Return the trials that the soup of `holder` averages, the most accurate first; empty if one
    of them is missing or was trained again since."""
    network = holder.trial.backbone, holder.trial.input_size
    known = {
        (record.trial.seed, record.finished): record
        for record in records
        if (record.trial.backbone, record.trial.input_size) == network
    }
    taken = [one for one in holder.soup.tried if one.taken] if holder.soup is not None else []
    found = [known.get((one.seed, one.finished)) for one in taken]
    present = tuple(record for record in found if record is not None)
    return present if len(present) == len(taken) else ()


def _soup_arrays(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return a soup's arrays, from those of the trial that holds it."""
    found = {n.removeprefix(SOUP_PREFIX): a for n, a in arrays.items() if n.startswith(SOUP_PREFIX)}
    return found | {n: arrays[n] for n, _ in (VALIDATION_ARRAYS, TEST_ARRAYS) if n in arrays}


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Write the images and labels of a run to `dataset.json`."""
    write_atomic(folder / "dataset.json", to_json(dataset))


def write_lines(folder: Path, lines: Iterable[str]) -> None:
    """Replace all of a run's encoded records atomically: a reader never sees half a line."""
    write_atomic(folder / "records.jsonl", "".join(line + "\n" for line in lines))


def append_line(folder: Path, line: str) -> None:
    """Append an encoded record to those of a run, which must end with a complete line."""
    path = folder / "records.jsonl"
    with name_in_errors(path), path.open("ab") as file:
        file.write(line.encode(errors="backslashreplace") + b"\n")
        file.flush()
        os.fsync(file.fileno())
