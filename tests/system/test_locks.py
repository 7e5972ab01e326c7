"""Waiting for a lock that another process holds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.storage.cache import Store
from bench.storage.run_folder import lock_run
from bench.system import locks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system names no holder")

HOLD = """import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    until = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < until:
        time.sleep(60) if sys.argv[3] == "idle" else None
"""


@contextmanager
def _held(path: Path, seconds: float, how: str) -> Iterator[int]:
    """Hold the lock in another process, which is idle or busy; yield its process number."""
    words = [sys.executable, "-c", HOLD, str(path), str(seconds), how]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of reports while waiting; with short times."""
    told: list[str] = []
    monkeypatch.setattr(locks, "report", told.append)
    monkeypatch.setattr(locks, "REPORT_SECONDS", 0.1)
    monkeypatch.setattr(locks, "IDLE_SECONDS", 0.3)
    return told


def test_an_idle_holder_is_reported_and_ends_the_wait(store: Store, told: list[str]) -> None:
    with store.lock("images", {"name": "a"}):
        pass
    (path,) = (store.root / "locks").glob("images-*")
    with _held(path, 60, "idle") as pid:
        with (
            pytest.raises(BenchError, match=f"images-.* is locked by process {pid} .*, idle for"),
            store.lock("images", {"name": "a"}),
        ):
            pass
        assert f"waiting for process {pid} ({sys.executable} -c" in told[0]


def test_an_unknown_holder_ends_the_wait_later(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "lock_holder", lambda path: None)
    monkeypatch.setattr(locks, "UNKNOWN_SECONDS", 0.5)
    path = tmp_path / "lock"
    with (
        _held(path, 60, "idle"),
        pytest.raises(BenchError, match="this is locked by another process, for 0 h; end that"),
        locks.acquire_lock(path, "this"),
    ):
        pass
    assert told == ["waiting for another process, which holds the lock of this"] * 4


@pytest.mark.slow
def test_a_busy_holder_is_waited_for(tmp_path: Path, told: list[str]) -> None:
    path = tmp_path / "lock"
    with _held(path, 1.0, "busy"), locks.acquire_lock(path, "this"):
        pass
    assert told


def test_the_error_names_the_process_that_writes_the_run(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    with (
        _held(tmp_path / "r/.lock", 60, "idle") as pid,
        pytest.raises(BenchError, match=f"is writing run r; wait for it .process {pid} "),
        lock_run(tmp_path / "r"),
    ):
        pass


def test_a_long_command_is_marked_as_cut(tmp_path: Path) -> None:
    with _held(tmp_path / "lock", 60, "idle") as pid:
        said = locks.describe_process(pid)
    assert said.endswith("…)")
    assert len(said) == len(f"process {pid} ()") + locks.MAX_COMMAND
