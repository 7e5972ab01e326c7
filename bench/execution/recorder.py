"""What is written of a run while its trials go on: records, and which trained weights are kept."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from bench.storage.arrays import keep_better
from bench.storage.records import Kept, append_line, read_lines, supersede, write_lines
from bench.system.files import to_json
from bench.training.events import Event, Listener, Note, RecordMade, RecordMeasured, StageProgress
from bench.types import KeepModels, Record


@dataclass
class RunRecorder:
    """The run's records, which nothing else writes. Takes the events of all workers, one at a time;
    writes each record down and passes every event on."""

    folder: Path
    listener: Listener
    keep: KeepModels = "none"
    records: dict[str, Record] = field(init=False)
    recorded: set[str] = field(default_factory=set)  # trials with a new record in this execution
    last_stage: tuple[str, str] = ("", "")  # a trial's key and what was done with it
    _kept: Kept = field(default_factory=dict)
    _best: dict[tuple[str, int], Record] = field(default_factory=dict)  # trained in it, by network
    _lines: int = 0  # of the file, as it was last written; 0: not yet, or it may be cut off
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        found = read_lines(self.folder)
        for record in found:
            supersede(self._kept, record)
        self.records = {record.trial.key: record for record in self._kept.values()}
        if len(found) > len(self.records):
            self._write_all()

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

    def close(self) -> None:
        """Leave one line for each record."""
        with self._lock:
            if self._lines > len(self.records):
                self._write_all()

    def _write(self, event: RecordMade) -> None:
        record, trial = event.record, event.record.trial
        # A trial whose weights have changed since has another key: the new one takes its place.
        for gone in supersede(self._kept, record):
            self.records.pop(gone.trial.key, None)
        self.recorded.add(trial.key)
        self.records[trial.key] = record
        if lines := self._lines:
            self._lines = 0  # where this fails, its line may be cut off, and another follow it
            append_line(self.folder, event.line or to_json(record))
            self._lines = lines + 1
        else:  # whatever its last line is
            self._write_all()
        if self.keep == "best" and not isinstance(event, RecordMeasured):
            # Of this execution alone: what an earlier one was asked to keep stays.
            network = trial.backbone, trial.input_size
            best = self._best.get(network, record)
            self._best[network] = keep_better(self.folder, best, record)

    def _write_all(self) -> None:
        write_lines(self.folder, map(to_json, self.records.values()))
        self._lines = len(self.records)
