"""When a worker is ended: a shell stands in for it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.execution.executors import worker_process
from bench.execution.executors.worker_process import Watch
from bench.system import locks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")

BUSY, IDLE = "while :; do :; done", "sleep 60"
IDLE_SECONDS = 0.3
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "STEP_SECONDS", 0.02)
    monkeypatch.setattr(worker_process, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(locks, "IDLE_SECONDS", IDLE_SECONDS)


@contextmanager
def _shell(script: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sh", "-c", script]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("stopped", [False, True])
def test_one_that_does_nothing_is_ended(stopped: bool) -> None:
    with _shell(BUSY if stopped else f"exec {IDLE}") as process:
        if stopped:
            process.send_signal(signal.SIGSTOP)
        with Watch(process.pid, process.kill) as watching:
            assert process.wait(PATIENCE) == -signal.SIGKILL
    assert "used no processor time for" in watching.reason


@pytest.mark.slow
def test_one_that_works_without_a_word_is_left_alone() -> None:
    with _shell(BUSY) as process, Watch(process.pid, process.kill) as watching:
        time.sleep(4 * IDLE_SECONDS)
        assert process.poll() is None
    assert watching.reason == ""


@pytest.mark.slow
def test_one_that_waits_and_says_so_is_left_alone() -> None:
    with _shell(f"exec {IDLE}") as process, Watch(process.pid, process.kill) as watching:
        until = time.monotonic() + 4 * IDLE_SECONDS
        while time.monotonic() < until:
            watching.event(record=False)
            time.sleep(0.01)
        assert process.poll() is None


def test_a_trial_that_takes_too_long_is_ended_whatever_it_says() -> None:
    with _shell(BUSY) as process, Watch(process.pid, process.kill, 0.5) as watching:
        begun = time.monotonic()
        while process.poll() is None:
            # The first trial ends in time, the next does not.
            watching.event(record=time.monotonic() - begun < 0.3)
            time.sleep(0.01)
            assert time.monotonic() - begun < PATIENCE
        assert time.monotonic() - begun > 0.7
    assert watching.reason == "the trial was ended: it took longer than 0.5 s (--trial-timeout)"
