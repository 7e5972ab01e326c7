"""The measuring stage of a very small run that is really trained."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trained_run as made

from bench.analysis.findings import analyse_run
from bench.analysis.metrics.base import METRICS
from bench.analysis.warnings import warnings
from bench.errors import WorkerDiedError
from bench.execution.executors.inline import Inline
from bench.inference.runtimes import RUNTIMES, Call, ModelSource, Runtime
from bench.storage.arrays import weights_path
from bench.storage.records import Evidence, read_run
from bench.training.events import Event, Listener, RecordMade
from bench.training.job import Job

pytestmark = pytest.mark.slow  # it loads a framework


class Broken(Runtime):
    """A runtime that cannot convert."""

    name, help, artefact = "broken", "", "broken.bin"

    def convert(self, source: ModelSource) -> None:
        raise ValueError("there is no operation for this layer")

    def load(self, source: ModelSource) -> Call:
        raise AssertionError


class Same(Runtime):
    """A fast runtime that predicts the same for every image."""

    help = ""

    def __init__(self, name: str, fails_from: int = 1000) -> None:
        self.name, self.fails_from = name, fails_from

    def load(self, source: ModelSource) -> Call:
        def call(images: np.ndarray) -> np.ndarray:
            if len(images) >= self.fails_from:
                raise MemoryError(f"no room for {len(images)} images")
            return np.tile([0.5, 0.25, 0.25], (len(images), 1))

        return call


class Death(BaseException):
    """Stands for the death of a process."""


class Fatal(Same):
    """A runtime that kills the process that converts to it."""

    def convert(self, source: ModelSource) -> None:
        raise Death


class Mortal(Inline):
    """An executor like a process of its own, which dies of `Death`."""

    def run(self, job: Job, listener: Listener) -> None:
        try:
            super().run(job, listener)
        except Death as error:
            raise WorkerDiedError("killed by SIGKILL") from error


class Interrupted(Same):
    """A runtime during whose conversion the user presses Ctrl-C."""

    def convert(self, source: ModelSource) -> None:
        raise KeyboardInterrupt


class Counting(Inline):
    """An executor that records its tasks."""

    def __init__(self) -> None:
        self.tasks: list[str] = []

    def run(self, job: Job, listener: Listener) -> None:
        self.tasks.append(job.task)
        super().run(job, listener)


class Fragile(Inline):
    """An executor whose measuring process dies the first time."""

    died = False

    def run(self, job: Job, listener: Listener) -> None:
        if job.task == "measure" and not self.died:
            self.died = True
            raise WorkerDiedError("killed by SIGKILL")
        super().run(job, listener)


class DiesBetween(Inline):
    """An executor whose first measuring process dies after one trial's record."""

    died = False

    def run(self, job: Job, listener: Listener) -> None:
        if job.task == "train" or self.died:
            super().run(job, listener)
            return
        self.died = True

        def only_the_first(event: Event) -> None:
            listener(event)
            if isinstance(event, RecordMade):
                raise WorkerDiedError("killed by SIGKILL")

        super().run(job, only_the_first)


@pytest.fixture
def broken() -> Iterator[None]:
    added = [Broken(), Fatal("fatal"), Same("after")]
    for runtime in added:
        RUNTIMES.add(runtime)
    yield
    for runtime in added:
        RUNTIMES.remove(runtime.name)


def test_all_seeds_have_the_figures_of_one_model(trained_run: Path) -> None:
    first, second = read_run(trained_run).evidence
    assert first.record.session == second.record.session
    session = first.record.session
    assert session is not None
    assert session.backbones == ("tiny",)
    assert len(session.calibration) == session.rounds + 1
    assert session.matrix_rate > 1e8
    for name in ("latency_keras_b1", "warmup_keras_b1"):
        np.testing.assert_array_equal(first.arrays[name], second.arrays[name])
        assert len(first.arrays[name])
    # What training answered is still there, each seed's own.
    assert not np.array_equal(
        first.arrays["test_probabilities"], second.arrays["test_probabilities"]
    )
    shared = [any("stands for all its seeds" in n for n in e.record.notes) for e in (first, second)]
    assert sorted(shared) == [False, True]


def test_costs_are_recorded_and_add_up(trained_run: Path) -> None:
    for evidence in read_run(trained_run).evidence:
        record = evidence.record
        parts = {k: v for k, v in record.seconds.items() if k not in ("total", "reused")}
        assert sum(parts.values()) == pytest.approx(record.seconds["total"])
        assert record.memory_bytes > 10e6
        figures = {name: METRICS[name].compute(evidence) for name in METRICS.names}
        share = figures["utilisation"]
        speed = figures["throughput_images_per_second"]
        assert share is not None
        assert speed is not None
        assert record.session is not None
        assert share == pytest.approx(record.flops * speed / record.session.matrix_rate)
        assert 0 < share < 1
        assert figures["energy_j_per_1000"] is None


@pytest.mark.usefixtures("tiny_backbone", "broken")
def test_a_failed_conversion_is_recorded_with_its_reason(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the process dies of it, another one measures the other runtimes."""
    monkeypatch.setattr(made, "Inline", Mortal)
    measuring = replace(made.MEASURING, runtimes="broken,fatal,after")
    home = shutil.copytree(trained_run.parent.parent, tmp_path / "home")
    for record in read_run(made.make(home, measuring=measuring)).records:
        assert record.status == "ok"
        assert [(r.name, r.reason) for r in record.runtimes] == [
            ("keras", ""),
            ("broken", "ValueError: there is no operation for this layer"),
            ("fatal", "killed by SIGKILL"),
            ("after", ""),
        ]


@pytest.mark.usefixtures("tiny_backbone")
def test_measuring_that_died_is_recorded_and_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragile = Fragile()
    monkeypatch.setattr(made, "Inline", lambda: fragile)
    folder = made.make(tmp_path, seeds=(0,), keep="none")
    (record,) = read_run(folder).records
    assert (record.status, record.session) == ("ok", None)
    assert record.runtimes[0].reason == "killed by SIGKILL"
    assert weights_path(folder, record.trial.key).is_file()

    made.make(tmp_path, seeds=(0,), keep="none")
    (again,) = read_run(folder).records
    assert again.session is not None
    nothing: dict[str, Any] = {"session": None, "runtimes": (), "seconds": {}, "arrays_sha256": ""}
    assert replace(again, **nothing) == replace(record, **nothing)
    assert not weights_path(folder, record.trial.key).exists()


@pytest.mark.usefixtures("tiny_backbone")
def test_all_seeds_are_measured_after_a_kill_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one seed keeps its weights, without which nothing can be measured."""
    executor = DiesBetween()
    monkeypatch.setattr(made, "Inline", lambda: executor)
    folder = made.make(tmp_path, seeds=(0, 1), keep="best")
    measured = [record.session is not None for record in read_run(folder).records]
    assert sorted(measured) == [False, True]

    made.make(tmp_path, seeds=(0, 1), keep="best")
    again = read_run(folder).records
    assert all(record.session is not None for record in again)
    assert all(r.status == "ok" for record in again for r in record.runtimes)


@pytest.fixture
def runtimes() -> Iterator[None]:
    added = [Same("same"), Same("narrow", fails_from=32), Interrupted("stopped")]
    for runtime in added:
        RUNTIMES.add(runtime)
    yield
    for runtime in added:
        RUNTIMES.remove(runtime.name)


@pytest.mark.usefixtures("tiny_backbone", "runtimes")
def test_later_requests_are_measured_without_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Counting()
    monkeypatch.setattr(made, "Inline", lambda: executor)

    def make(**asked: Any) -> Evidence:
        executor.tasks.clear()
        folder = made.make(tmp_path, seeds=(0,), measuring=replace(made.MEASURING, **asked))
        (evidence,) = read_run(folder).evidence
        return evidence

    first = make()
    assert executor.tasks == ["train", "measure"]

    # Another runtime: that one alone, and the reference keeps its figures.
    more = make(runtimes="same")
    assert executor.tasks == ["measure"]
    assert [r.name for r in more.record.runtimes] == ["keras", "same"]
    assert more.record.runtimes[0] == first.record.runtimes[0]
    assert more.record.session == first.record.session
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(more.arrays[name], array)
    np.testing.assert_array_equal(more.arrays["probabilities_same"][0], [0.5, 0.25, 0.25])
    assert more.record.seconds["train"] == first.record.seconds["train"]
    assert more.record.seconds["measure"] > first.record.seconds["measure"]
    make(runtimes="same")
    assert executor.tasks == []
    assert [r.name for r in make().record.runtimes] == ["keras", "same"]  # nothing is lost
    assert executor.tasks == []

    # Other seconds: all that is asked for is timed again. Stopped in the middle, what was timed
    # before that is recorded.
    with pytest.raises(KeyboardInterrupt):
        make(runtimes="narrow,stopped", latency_seconds=0.03)
    assert executor.tasks == ["measure"]
    (longer,) = read_run(tmp_path / "results" / "r").evidence
    record = longer.record
    assert [r.name for r in record.runtimes] == ["keras", "same", "narrow"]
    sessions = [result.session for result in record.runtimes]
    assert [s and s.latency_seconds for s in sessions] == [0.03, 0.02, 0.03]
    again, before = (e.arrays["latency_keras_b1"] for e in (longer, first))
    assert not np.array_equal(again, before)
    for name in ("test_probabilities", "latency_same_b1", "probabilities_same"):
        np.testing.assert_array_equal(longer.arrays[name], more.arrays[name])
    # A batch that fails is a gap with its reason, and takes nothing else with it.
    gap = record.runtimes[2]
    assert (gap.status, gap.batches) == ("ok", (1, 8))
    assert gap.failed_batches == {"32": "MemoryError: no room for 32 images"}

    # Without weights nothing can be measured, and the run says so.
    weights_path(tmp_path / "results" / "r", record.trial.key).unlink()
    left = make(runtimes="stopped", latency_seconds=0.03)
    assert executor.tasks == []
    assert left.record == record
    (note,) = read_run(tmp_path / "results" / "r").meta.notes
    assert note == (
        "tiny (seed 0): stopped cannot be measured, since the trained weights were not "
        "kept; --fresh trains it again."
    )
    told = warnings(analyse_run(read_run(tmp_path / "results" / "r")))
    assert note in told
    assert any(text.startswith("same: timed by another command than keras") for text in told)
    gap_told = "tiny (random init) was not timed through narrow in batches of 32: MemoryError"
    assert gap_told in "".join(told)


def test_rows_of_the_report(trained_run: Path) -> None:
    (row,) = analyse_run(read_run(trained_run)).runtimes
    assert (row.runtime, row.status) == ("keras", "ok")
    assert row.latency_p50_ms is not None
    assert row.artefact_mb is None
