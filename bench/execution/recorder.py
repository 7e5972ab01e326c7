"""Write a run's records while its trials run, and delete trained weights that are not kept."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from bench.storage.arrays import keep_better_weights
from bench.storage.records import KeptRecords, append_line, read_all_records, supersede, write_lines
from bench.system.files import to_json
from bench.training.events import Event, Listener, Note, RecordMade, RecordMeasured, StageProgress
from bench.types import KeepModels, Record


@dataclass
class RunRecorder:
    """The only writer of a run's records.

    A listener of all workers, one event at a time: it writes each record and passes every event on.
    """

    folder: Path
    listener: Listener
    keep: KeepModels = "none"
    records: dict[str, Record] = field(init=False)
    recorded: set[str] = field(default_factory=set)  # keys of trials recorded by this command
    last_stage: tuple[str, str] = ("", "")  # trial key and stage of the latest progress event
    _kept: KeptRecords = field(default_factory=dict)
    _best: dict[tuple[str, int], Record] = field(default_factory=dict)  # by backbone and input size
    _lines: int = 0  # in records.jsonl; 0: not written yet, or its last line may be cut off
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        found = read_all_records(self.folder)
        for record in found:
            supersede(self._kept, record)
        self.records = {record.trial.key: record for record in self._kept.values()}
        if len(found) > len(self.records):
            self._write_all()

    def __call__(self, event: Event) -> None:
        """Record one event and pass it on."""
        with self._lock:
            if isinstance(event, StageProgress):
                self.last_stage = event.trial.key, event.stage
            elif isinstance(event, RecordMade):
                self._write(event)
            self.listener(event)

    def note(self, text: str) -> None:
        """Send a note to the user."""
        self(Note(text))

    def close(self) -> None:
        """Rewrite the file with one line for each record, if it has more."""
        with self._lock:
            if self._lines > len(self.records):
                self._write_all()

    def _write(self, event: RecordMade) -> None:
        record, trial = event.record, event.record.trial
        # The same trial with changed weights or code has another key: it replaces the old one.
        for gone in supersede(self._kept, record):
            self.records.pop(gone.trial.key, None)
        self.recorded.add(trial.key)
        self.records[trial.key] = record
        if lines := self._lines:
            self._lines = 0  # if this write fails, its line may be cut off
            append_line(self.folder, event.line or to_json(record))
            self._lines = lines + 1
        else:  # never append after a line that may be cut off
            self._write_all()
        if self.keep == "best" and not isinstance(event, RecordMeasured):
            # Only records of this command: what an earlier one was asked to keep stays.
            network = trial.backbone, trial.input_size
            best = self._best.get(network, record)
            self._best[network] = keep_better_weights(self.folder, best, record)

    def _write_all(self) -> None:
        write_lines(self.folder, map(to_json, self.records.values()))
        self._lines = len(self.records)
