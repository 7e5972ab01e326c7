"""The parent's side of a worker, with a shell in its place: its events, and when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from plans import REQUEST, execute, plan, silent

from bench.execution.executors import worker_process
from bench.execution.executors.local_process import LocalProcess
from bench.execution.executors.worker_process import Watch, WorkerProcess
from bench.execution.run_meta import RunInputs
from bench.storage.cache import Store
from bench.system import locks
from bench.training.events import Ended, Note, encode
from bench.types import Settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")

NOTE = encode(Note("a"))
CUT_OFF = 'RecordMade {"sch'
KILLED = "the trial's process was killed by SIGKILL (often: out of memory)"
BUSY, IDLE = "while :; do :; done", "sleep 60"
IDLE_SECONDS = 0.3
PATIENCE = 20.0


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the lines that a fake worker sends at once."""
    said = tmp_path / "said"
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ncat '{said}'\nexec > /dev/null\ncat\nexit 7\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return said


def test_a_forking_worker_is_reusable_after_a_job_was_killed(said: Path, tmp_path: Path) -> None:
    said.write_text("\n".join(["begun", NOTE, CUT_OFF, "exit -9", ""]))
    worker = WorkerProcess({"PATH": "/bin:/usr/bin"}, (), "", forks=True)
    events = list(worker.run_job(tmp_path / "job", tmp_path / "log"))
    assert events[:-1] == [Note("a")]
    assert events[-1] == Ended(-9, True, f"{KILLED}; its log is logs/log.")
    assert worker.is_reusable
    worker.end()
    assert not worker.is_reusable


def test_a_worker_that_died_before_reading_its_job_is_not_reused(
    said: Path, tmp_path: Path
) -> None:
    said.write_text("exit -9\n")
    worker = WorkerProcess({"PATH": "/bin:/usr/bin"}, (), "", forks=True)
    (end,) = worker.run_job(tmp_path / "job", tmp_path / "log")
    assert isinstance(end, Ended)
    assert end.code == -9
    assert not worker.is_reusable
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


def test_a_worker_that_does_not_fork_ends_with_its_job(said: Path, tmp_path: Path) -> None:
    said.write_text("\n".join(["begun", NOTE, CUT_OFF]))  # it died while it wrote that
    worker = WorkerProcess({"PATH": "/bin:/usr/bin"}, (), "")
    events = worker.run_job(tmp_path / "job", tmp_path / "log")
    assert next(events) == Note("a")
    worker.stop()
    (end,) = events
    assert isinstance(end, Ended)
    assert end.code == -15
    assert not worker.is_reusable


def test_a_forking_worker_is_reusable_after_running_out_of_memory(
    said: Path, tmp_path: Path
) -> None:
    short = Ended(out_of_memory=True, message="out of memory (no room).")
    said.write_text("\n".join(["begun", encode(short), "exit 0", ""]))
    worker = WorkerProcess({"PATH": "/bin:/usr/bin"}, (), "", forks=True)
    assert list(worker.run_job(tmp_path / "job", tmp_path / "log")) == [short]
    assert worker.is_reusable
    worker.end()
    # One that does not fork is ended at once: leaving may take long without memory.
    said.write_text("\n".join(["begun", encode(short), ""]))
    worker = WorkerProcess({"PATH": "/bin:/usr/bin"}, (), "")
    assert list(worker.run_job(tmp_path / "job", tmp_path / "log")) == [short]
    assert not worker.is_reusable


def test_trials_beyond_the_time_limit_fail_and_the_next_one_runs(
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
        "the trial was killed: it took longer than 0.2 s (--trial-timeout); its log is "
        f"logs/a-{records[0].trial.key}.log."
    )


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "STEP_SECONDS", 0.02)
    monkeypatch.setattr(worker_process, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(locks, "IDLE_SECONDS", IDLE_SECONDS)


@contextmanager
def _shell(script: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sh", "-c", script]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("stopped", [False, True])
def test_an_idle_process_is_killed(stopped: bool) -> None:
    with _shell(BUSY if stopped else f"exec {IDLE}") as process:
        if stopped:
            process.send_signal(signal.SIGSTOP)
        with Watch(process.pid, process.kill) as watching:
            assert process.wait(PATIENCE) == -signal.SIGKILL
    assert "used no processor time for" in watching.reason


@pytest.mark.usefixtures("_quick")
@pytest.mark.slow
def test_a_silent_process_that_works_is_not_killed() -> None:
    with _shell(BUSY) as process, Watch(process.pid, process.kill) as watching:
        time.sleep(4 * IDLE_SECONDS)
        assert process.poll() is None
    assert watching.reason == ""


@pytest.mark.usefixtures("_quick")
@pytest.mark.slow
def test_a_process_that_reports_waiting_is_not_killed() -> None:
    with _shell(f"exec {IDLE}") as process, Watch(process.pid, process.kill) as watching:
        until = time.monotonic() + 4 * IDLE_SECONDS
        while time.monotonic() < until:
            watching.event(record=False)
            time.sleep(0.01)
        assert process.poll() is None


@pytest.mark.usefixtures("_quick")
def test_a_trial_beyond_the_time_limit_is_killed_despite_events() -> None:
    with _shell(BUSY) as process, Watch(process.pid, process.kill, 0.5) as watching:
        begun = time.monotonic()
        while process.poll() is None:
            # The first trial ends in time, the next does not.
            watching.event(record=time.monotonic() - begun < 0.3)
            time.sleep(0.01)
            assert time.monotonic() - begun < PATIENCE
        assert time.monotonic() - begun > 0.7
    assert watching.reason == "the trial was killed: it took longer than 0.5 s (--trial-timeout)"
