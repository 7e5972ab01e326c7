"""The events of a worker, with a stand-in that sends what it is given."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

import pytest
from plans import REQUEST, execute, plan, silent

from bench.execution.executors import worker_process
from bench.execution.executors.local_process import LocalProcess
from bench.execution.executors.worker_process import WorkerProcess
from bench.execution.run_meta import RunInputs
from bench.storage.cache import Store
from bench.training.events import Ended, Note, encode
from bench.types import Settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")

NOTE = encode(Note("a"))
CUT_OFF = 'RecordMade {"sch'


KILLED = "the trial's process was killed by SIGKILL (often: out of memory)"


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the worker says at once; it ends when its parent does not listen any more."""
    said = tmp_path / "said"
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ncat '{said}'\nexec > /dev/null\ncat\nexit 7\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return said


def test_one_that_forks_goes_on_after_a_job_was_killed(said: Path, tmp_path: Path) -> None:
    said.write_text("\n".join(["begun", NOTE, CUT_OFF, "exit -9", ""]))
    worker = WorkerProcess({"PATH": "/bin:/usr/bin"}, (), "", forks=True)
    events = list(worker.work(tmp_path / "job", tmp_path / "log"))
    assert events[:-1] == [Note("a")]
    assert events[-1] == Ended(-9, True, f"{KILLED}; its log is logs/log.")
    assert worker.goes_on
    worker.end()
    assert not worker.goes_on


def test_where_one_died_before_it_read_its_job_nobody_else_reads_it(
    said: Path, tmp_path: Path
) -> None:
    said.write_text("exit -9\n")
    worker = WorkerProcess({"PATH": "/bin:/usr/bin"}, (), "", forks=True)
    (end,) = worker.work(tmp_path / "job", tmp_path / "log")
    assert isinstance(end, Ended)
    assert end.code == -9
    assert not worker.goes_on
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


def test_one_that_does_one_job_ends_with_it(said: Path, tmp_path: Path) -> None:
    said.write_text("\n".join(["begun", NOTE, CUT_OFF]))  # it died while it wrote that
    worker = WorkerProcess({"PATH": "/bin:/usr/bin"}, (), "")
    events = worker.work(tmp_path / "job", tmp_path / "log")
    assert next(events) == Note("a")
    worker.stop()
    (end,) = events
    assert isinstance(end, Ended)
    assert end.code == -15
    assert not worker.goes_on


def test_a_worker_that_says_memory_was_short_goes_on_if_it_forks(
    said: Path, tmp_path: Path
) -> None:
    short = Ended(out_of_memory=True, message="out of memory (no room).")
    said.write_text("\n".join(["begun", encode(short), "exit 0", ""]))
    worker = WorkerProcess({"PATH": "/bin:/usr/bin"}, (), "", forks=True)
    assert list(worker.work(tmp_path / "job", tmp_path / "log")) == [short]
    assert worker.goes_on
    worker.end()
    # One that does not fork is ended at once: leaving may take long without memory.
    said.write_text("\n".join(["begun", encode(short), ""]))
    worker = WorkerProcess({"PATH": "/bin:/usr/bin"}, (), "")
    assert list(worker.work(tmp_path / "job", tmp_path / "log")) == [short]
    assert not worker.goes_on


def test_one_that_takes_too_long_leaves_failed_trials_and_the_next_is_run(
    said: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "STEP_SECONDS", 0.02)
    said.write_text("begun\n")
    store = Store(tmp_path / "cache")
    with closing(LocalProcess(Settings(), 0.2)) as executor:
        records = execute(
            RunInputs(plan("a", "b"), tmp_path / "r", REQUEST, store), executor, silent
        )
    assert [(record.trial.backbone, record.status) for record in records] == [
        ("a", "failed"),
        ("b", "failed"),
    ]
    # Killed, and yet not taken for one that had too little memory.
    assert records[0].reason == (
        "the trial was ended: it took longer than 0.2 s (--trial-timeout); its log is "
        f"logs/a-{records[0].trial.key}.log."
    )
