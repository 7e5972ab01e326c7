"""A worker process and its parent, with stand-ins for the modules that a worker loads."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from plans import plan

from bench.execution.executors.worker_process import worker_environment
from bench.system.files import to_json
from bench.system.plugin_files import IMPORT_PATH
from bench.training.events import Note, decode
from bench.training.job import Job, write_job
from bench.types import Settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes are watched as POSIX says")

PATIENCE = 20.0  # seconds; a worker that missed its parent's end would live for 60
SCRIPT = """
import sys, time, types
from bench.training.events import Note

def put(name, **content):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(content)

def run_trials(job, listener, imports):
    listener(Note(f"read {sys.stdin.read()!r}"))

put("bench.models.backends.base", current_backend=None)
put("bench.training.trial", run_trials=run_trials)
"""
SLOW = """
import importlib.abc

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "bench.training.trial":
            print("loading", file=sys.stderr, flush=True)
            time.sleep(60)

del sys.modules["bench.training.trial"]
sys.meta_path.insert(0, Slow())
"""
SLOW_TRIAL = """
def run_trials(job, listener, imports):
    time.sleep(60)

sys.modules["bench.training.trial"].run_trials = run_trials
"""
SAYS_PATH = """
import json

def run_trials(job, listener, imports):
    listener(Note(json.dumps(sys.path)))

sys.modules["bench.training.trial"].run_trials = run_trials
"""
FORKS = [[], ["--fork"]] if sys.platform == "linux" else [[]]


@contextmanager
def _worker(words: list[str], *changes: str) -> Iterator[subprocess.Popen[str]]:
    script = "".join([SCRIPT, *changes, "from bench.execution.worker import main\nmain()\n"])
    with subprocess.Popen(
        [sys.executable, "-c", script, str(time.monotonic()), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        late = threading.Timer(PATIENCE, process.kill)
        late.start()
        try:
            yield process
        finally:
            late.cancel()
            process.kill()


def _job(folder: Path) -> Job:
    p = plan("one")
    return Job(p.trials, p.protocol, p.dataset, None, str(folder), str(folder / "cache"), 10**9)


def _tell(process: subprocess.Popen[str], **order: object) -> None:
    assert process.stdin is not None
    print(to_json(order), file=process.stdin, flush=True)


def _ends_with_its_parent(process: subprocess.Popen[str], output: IO[str] | None) -> None:
    assert process.stdin is not None
    assert output is not None
    assert output.readline()  # it is loading or training
    closed = time.monotonic()
    process.stdin.close()  # as the kernel does for a parent that was killed
    output.read()  # until forked processes have ended, too
    assert time.monotonic() - closed < PATIENCE / 2


@pytest.mark.parametrize("words", FORKS)
def test_a_worker_whose_parent_dies_ends_while_it_loads(words: list[str]) -> None:
    with _worker(words, SLOW) as process:
        _ends_with_its_parent(process, process.stderr)


@pytest.mark.parametrize("words", FORKS)
def test_a_worker_whose_parent_dies_ends_while_it_trains(words: list[str], tmp_path: Path) -> None:
    write_job(tmp_path / "job.json", _job(tmp_path))
    with _worker(words, SLOW_TRIAL) as process:
        _tell(process, job=str(tmp_path / "job.json"), log=str(tmp_path / "log"))
        _ends_with_its_parent(process, process.stdout)


@pytest.mark.parametrize("words", FORKS)
def test_orders_are_hidden_from_code_that_reads_standard_input(
    words: list[str], tmp_path: Path
) -> None:
    job = _job(tmp_path)
    write_job(tmp_path / "job.json", job)
    with _worker(words) as process:
        _tell(process, job=str(tmp_path / "job.json"), log=str(tmp_path / "log"))
        assert process.stdout is not None
        begun, told = (process.stdout.readline() for _ in range(2))
    assert begun == "begun\n"
    assert decode(told) == Note("read ''")


def test_a_worker_searches_modules_in_its_parents_path_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "only here")
    here = list(dict.fromkeys(str(Path(folder).absolute()) for folder in sys.path))
    monkeypatch.setenv(IMPORT_PATH, worker_environment(Settings())[IMPORT_PATH])
    write_job(tmp_path / "job.json", _job(tmp_path))
    with _worker([], SAYS_PATH) as process:
        _tell(process, job=str(tmp_path / "job.json"), log=str(tmp_path / "log"))
        assert process.stdout is not None
        _, told = (process.stdout.readline() for _ in range(2))
    found = decode(told)
    assert isinstance(found, Note)
    assert json.loads(found.text)[: len(here)] == here
