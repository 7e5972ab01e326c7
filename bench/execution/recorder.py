"""The only writer of `records.jsonl`: every record of a run passes through here.

The file is replaced as a whole each time a record is added, so that a run that is killed at any
instant goes on from the last finished trial.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.storage.records import newest, read_lines, write_records
from bench.storage.trained import keep_best
from bench.training.job import Listener
from bench.types import Epoch, KeepModels, Record, Trial


@dataclass
class RunRecorder:
    """The run's records. Takes the events of all workers, one at a time; writes each record down
    and passes everything on."""

    folder: Path
    listener: Listener
    keep: KeepModels
    slots: int = 1  # how many workers train at once
    records: dict[str, Record] = field(init=False)
    measured_before: set[str] = field(init=False)  # when this execution began
    heard: set[str] = field(default_factory=set)  # trials with a new record in this execution
    last_stage: tuple[str, str] = ("", "")
    trained: set[str] = field(default_factory=set)  # of them, those that were trained in it
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        lines = read_lines(self.folder)
        self.records = {r.trial.key: r for r in newest(lines)}
        if len(lines) > len(self.records):
            write_records(self.folder, self.records.values())
        self.measured_before = {k for k, r in self.records.items() if r.session is not None}

    def stage(self, trial: Trial, stage: str, done: int = 0, total: int = 0) -> None:
        with self._lock:
            self.last_stage = trial.key, stage
            self.listener.stage(trial, stage, done, total)

    def epoch(self, trial: Trial, phase: str, of: int, number: int, epoch: Epoch) -> None:
        with self._lock:
            self.listener.epoch(trial, phase, of, number, epoch)

    def note(self, text: str) -> None:
        with self._lock:
            self.listener.note(text)

    def record(self, record: Record) -> None:
        with self._lock:
            self._record(record)

    def _record(self, record: Record) -> None:
        trial = record.trial
        if self.slots > 1 and not record.runtimes:
            note = f"trained on one of {self.slots} GPUs, beside other trials on the others"
            record = replace(record, notes=(*record.notes, note))
        self.heard.add(trial.key)
        if record.session is None and not record.runtimes:
            self.trained.add(trial.key)
        # A trial whose weights have changed since has another key: the new one takes its place.
        self.records = {r.trial.key: r for r in newest([*self.records.values(), record])}
        write_records(self.folder, self.records.values())
        if self.keep == "best":
            # Of this execution alone: what an earlier one was asked to keep stays.
            keep_best(self.folder, (self.records[k] for k in self.trained if k in self.records))
        self.listener.record(record)
