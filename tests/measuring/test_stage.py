"""The measuring stage of a run that was really trained, only very small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trained_run as made

from bench.errors import WorkerDiedError
from bench.executors.inline import Inline
from bench.job import Job, Listener
from bench.metrics.base import METRICS
from bench.records import load_run
from bench.report.runtimes import rows
from bench.runtimes import RUNTIMES
from bench.runtimes.base import Call, Source
from bench.trained import weights_path
from bench.types import Record


class Broken:
    """A runtime that cannot convert."""

    name, artefact, modules, extra = "broken", "broken.bin", (), ""

    def convert(self, source: Source) -> None:
        raise ValueError("there is no operation for this layer")

    def load(self, source: Source) -> Call:
        raise AssertionError


class Fragile(Inline):
    """Its measuring process dies the first time."""

    died = False

    def run(self, job: Job, listener: Listener) -> None:
        if job.task == "measure" and not self.died:
            self.died = True
            raise WorkerDiedError("killed by SIGKILL")
        super().run(job, listener)


class DiesBetween(Inline):
    """Its measuring process dies, the first time, once it has told of one trial."""

    died = False

    def run(self, job: Job, listener: Listener) -> None:
        if job.task == "train" or self.died:
            super().run(job, listener)
            return
        self.died = True
        record = listener.record

        def only_the_first(found: Record) -> None:
            record(found)
            raise WorkerDiedError("killed by SIGKILL")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(listener, "record", only_the_first)
            super().run(job, listener)


@pytest.fixture
def broken() -> Iterator[None]:
    RUNTIMES.add(Broken())
    yield
    RUNTIMES.remove("broken")


def test_all_seeds_have_the_figures_of_one_model(trained_run: Path) -> None:
    first, second = load_run(trained_run).evidence
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


def test_costs_are_there_and_add_up(trained_run: Path) -> None:
    for evidence in load_run(trained_run).evidence:
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
def test_a_conversion_that_fails_is_a_row_with_its_reason(tmp_path: Path) -> None:
    settings = replace(made.SETTINGS, runtimes="broken")
    folder = made.make(tmp_path, seeds=(0,), settings=settings)
    (record,) = load_run(folder).records
    assert [(r.name, r.status) for r in record.runtimes] == [("keras", "ok"), ("broken", "failed")]
    assert record.status == "ok"
    assert record.runtimes[1].reason == "ValueError: there is no operation for this layer"


@pytest.mark.usefixtures("tiny_backbone")
def test_measuring_that_died_is_told_and_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragile = Fragile()
    monkeypatch.setattr(made, "Inline", lambda: fragile)
    folder = made.make(tmp_path, seeds=(0,), keep="none")
    (record,) = load_run(folder).records
    assert (record.status, record.session) == ("ok", None)
    assert record.runtimes[0].reason == "killed by SIGKILL"
    assert weights_path(folder, record.trial.key).is_file()

    made.make(tmp_path, seeds=(0,), keep="none")
    (again,) = load_run(folder).records
    assert again.session is not None
    assert replace(again, session=None, runtimes=(), seconds={}) == replace(
        record, runtimes=(), seconds={}
    )
    assert not weights_path(folder, record.trial.key).exists()


@pytest.mark.usefixtures("tiny_backbone")
def test_killed_between_the_seeds_every_one_is_measured_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several seeds one keeps its weights, and without them nothing can be measured."""
    executor = DiesBetween()
    monkeypatch.setattr(made, "Inline", lambda: executor)
    folder = made.make(tmp_path, seeds=(0, 1), keep="best")
    measured = [record.session is not None for record in load_run(folder).records]
    assert sorted(measured) == [False, True]

    made.make(tmp_path, seeds=(0, 1), keep="best")
    again = load_run(folder).records
    assert all(record.session is not None for record in again)
    assert all(r.status == "ok" for record in again for r in record.runtimes)


def test_rows_of_the_report(trained_run: Path) -> None:
    from bench.report.findings import find

    (row,) = rows(find(load_run(trained_run)))
    assert (row.runtime, row.status) == ("keras", "ok")
    assert row.latency_p50_ms is not None
    assert row.artefact_mb is None
