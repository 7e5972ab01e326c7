"""The only writer of `records.jsonl`: every record of a run passes through here.

The file is replaced as a whole each time a record is added, so that a run that is killed at any
instant goes on from the last finished trial.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from bench.storage.arrays import keep_best
from bench.storage.records import newest, read_lines, write_lines
from bench.system.files import to_json
from bench.training.events import Event, Listener, Note, RecordMade, RecordMeasured, StageProgress
from bench.types import KeepModels, Record


@dataclass
class RunRecorder:
    """The run's records. Takes the events of all workers, one at a time; writes each record down
    and passes every event on."""

    folder: Path
    listener: Listener
    keep: KeepModels = "none"
    records: dict[str, Record] = field(init=False)
    measured_before: set[str] = field(init=False)  # when this execution began
    recorded: set[str] = field(default_factory=set)  # trials with a new record in this execution
    trained: set[str] = field(default_factory=set)  # of them, those that were trained in it
    last_stage: tuple[str, str] = ("", "")  # a trial's key and what was done with it
    _lines: dict[str, str] = field(init=False)  # the records, encoded
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        found = read_lines(self.folder)
        self.records = {r.trial.key: r for r in newest(found)}
        self._lines = {key: to_json(record) for key, record in self.records.items()}
        if len(found) > len(self.records):
            write_lines(self.folder, self._lines.values())
        self.measured_before = {k for k, r in self.records.items() if r.session is not None}

    def __call__(self, event: Event) -> None:
        """Take one event."""
        with self._lock:
            if isinstance(event, StageProgress):
                self.last_stage = event.trial.key, event.stage
            elif isinstance(event, RecordMade):
                self._write(event)
            self.listener(event)

    def note(self, text: str) -> None:
        """Tell the user something."""
        self(Note(text))

    def _write(self, event: RecordMade) -> None:
        record, key = event.record, event.record.trial.key
        self.recorded.add(key)
        if not isinstance(event, RecordMeasured):
            self.trained.add(key)
        # A trial whose weights have changed since has another key: the new one takes its place.
        self.records = {r.trial.key: r for r in newest([*self.records.values(), record])}
        self._lines[key] = event.line or to_json(record)
        write_lines(self.folder, (self._lines[k] for k in self.records))
        if self.keep == "best":
            # Of this execution alone: what an earlier one was asked to keep stays.
            keep_best(self.folder, (self.records[k] for k in self.trained if k in self.records))
