"""Writing the records of a run."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

import pytest
from plans import plan

from bench.execution.recorder import RunRecorder
from bench.storage import records
from bench.storage.records import SCHEMA, read_records
from bench.system.files import to_json
from bench.training.events import RecordMade
from bench.types import Record


def test_no_record_is_appended_after_a_truncated_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With several devices, others write records after one has failed to."""

    def full(folder: Path, line: str) -> None:
        with (folder / "records.jsonl").open("a") as file:
            file.write(line[:9])
        raise OSError(errno.ENOSPC, "no space")

    trials = plan("one", seeds=range(3)).trials
    recorder = RunRecorder(tmp_path, lambda event: None)
    recorder(RecordMade(Record(SCHEMA, trials[0], "failed")))
    with monkeypatch.context() as patched, suppress(OSError):
        patched.setattr("bench.execution.recorder.append_line", full)
        recorder(RecordMade(Record(SCHEMA, trials[1], "failed")))
    recorder(RecordMade(Record(SCHEMA, trials[2], "failed")))
    recorder.close()
    assert [record.trial for record in read_records(tmp_path)] == list(trials)


def test_a_line_that_is_completed_during_reading_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = plan("one", seeds=range(2)).trials
    recorder = RunRecorder(tmp_path, lambda event: None)
    recorder(RecordMade(Record(SCHEMA, first, "failed")))
    path, is_truncated = tmp_path / "records.jsonl", records._is_truncated
    line = to_json(Record(SCHEMA, second, "failed")).encode() + b"\n"

    def write(part: bytes) -> None:
        with path.open("ab") as file:
            file.write(part)

    def finished_meanwhile(read: bytes) -> bool:
        write(line[9:])
        return is_truncated(read)

    write(line[:9])
    with monkeypatch.context() as patched:
        patched.setattr(records, "_is_truncated", finished_meanwhile)
        assert [record.trial for record in read_records(tmp_path)] == [first]
    assert [record.trial for record in read_records(tmp_path)] == [first, second]
