"""The reported progress of a run when the machine's clock jumps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.execution.status import ProgressFile, read_status
from bench.storage.run_folder import lock_run
from bench.training.events import RunProgress


def test_progress_is_written_after_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = SimpleNamespace(time=10_000.0, monotonic=500.0)
    clock = SimpleNamespace(time=lambda: now.time, monotonic=lambda: now.monotonic)
    monkeypatch.setattr("bench.execution.status.time", clock)
    with lock_run(tmp_path), ProgressFile(tmp_path, lambda event: None) as told:
        now.time, now.monotonic = now.time - 3600, now.monotonic + 2
        told(RunProgress(0.5, 60.0))
        seen = read_status(tmp_path)
        now.time -= 3600
        later = read_status(tmp_path)
    assert (seen.state, seen.elapsed_seconds, seen.seconds_left) == ("running", 0.0, 60.0)
    assert later.seconds_left == 60.0
