"""Several jobs at once, a device each: nothing is lost, nothing is mixed, all end together."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from plans import REQUEST, execute, plan, silent
from scripted_executor import DIES, HANGS, PATIENCE, Outcome, ScriptedExecutor

from bench.execution.run_meta import RunInputs
from bench.storage.cache import Store
from bench.storage.records import read_records
from bench.system.parallel import run_parallel
from bench.training.events import Listener
from bench.training.job import Job
from bench.types import Record


class TwoDevices(ScriptedExecutor):
    """An executor with two devices; the first two jobs wait until both have begun."""

    slots = 2

    def __init__(self, ends: Mapping[tuple[str, int], Outcome] | None = None) -> None:
        super().__init__(lambda job, trial: (ends or {}).get((trial.backbone, trial.seed), "ok"))
        self.free = ["GPU-0", "GPU-1"]
        self.used: dict[str, str] = {}  # backbone -> device
        self.most = 0  # devices in use at once
        self._both = threading.Barrier(2, timeout=PATIENCE)
        self._lock = threading.Lock()

    def run(self, job: Job, listener: Listener) -> None:
        if job.task == "measure":
            super().run(job, listener)
            return
        with self._lock:
            device = self.free.pop(0)  # an error, were there a third job at once
            name = job.trials[0].backbone
            first = name not in self.used and len(self.used) < 2  # not what is left of a job
            self.used[name] = device
            self.most = max(self.most, 2 - len(self.free))
        try:
            if first:
                self._both.wait()
            super().run(job, listener)
        finally:
            with self._lock:
                self.free.append(device)


def run(executor: ScriptedExecutor, folder: Path, store: Store, *names: str) -> tuple[Record, ...]:
    return execute(RunInputs(plan(*names, seeds=(0, 1)), folder, REQUEST, store), executor, silent)


def test_two_jobs_at_once_on_a_device_each(tmp_path: Path, store: Store) -> None:
    executor = TwoDevices()
    names = [f"net{number}" for number in range(6)]
    records = run(executor, tmp_path / "r", store, *names)
    assert executor.most == 2
    assert {executor.used["net0"], executor.used["net1"]} == {"GPU-0", "GPU-1"}
    assert sorted(executor.free) == ["GPU-0", "GPU-1"]
    # Every line of the file is a record, and there is one for each trial.
    written = read_records(tmp_path / "r")
    places = sorted((r.trial.backbone, r.trial.seed) for r in written)
    assert places == [(name, seed) for name in names for seed in (0, 1)]
    assert len(records) == 12
    assert all("trained on one of 2 GPUs" in r.notes[0] for r in written)


def test_a_job_that_dies_does_not_affect_the_other(tmp_path: Path, store: Store) -> None:
    executor = TwoDevices({("two", 0): DIES})
    run(executor, tmp_path / "r", store, "one", "two", "three")
    status = {(r.trial.backbone, r.trial.seed): r.status for r in read_records(tmp_path / "r")}
    assert status.pop(("two", 0)) == "failed"
    assert len(status) == 5
    assert set(status.values()) == {"ok"}


def test_an_interruption_ends_all_jobs(tmp_path: Path, store: Store) -> None:
    executor = TwoDevices({("one", 0): HANGS, ("two", 0): KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(executor, tmp_path / "r", store, "one", "two", "three")
    assert executor.closed.is_set()
    # What was stopped did not fail: the same command goes on with it.
    assert not [r for r in read_records(tmp_path / "r") if r.trial.backbone in ("one", "two")]


def test_a_single_job_needs_no_second_device(tmp_path: Path, store: Store) -> None:
    class Alone(ScriptedExecutor):
        @property
        def slots(self) -> int:
            raise AssertionError("nobody needs to know")

    (first, second) = run(Alone(), tmp_path / "r", store, "one")
    assert first.notes == second.notes == ()


def test_no_item_is_started_after_an_error() -> None:
    begun = []
    stopped = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise ValueError("the first")
        assert stopped.wait(PATIENCE)

    with pytest.raises(ValueError, match="the first"):
        run_parallel(work, range(100), 2, stopped.set)
    assert len(begun) < 100
