"""The effort of a run: computing that seeds share counts once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import Net, make_run

from bench.analysis.facts import effort, facts
from bench.analysis.findings import analyse_run
from bench.inference.measuring.recorded import with_seconds
from bench.storage.records import read_records, read_run
from bench.training.accounting import ImportTime, PassTimes, trial_seconds
from bench.types import Record


def trials(folder: Path) -> list[Record]:
    """Return two seeds of a backbone: 1 s of imports, 2 of data (cached), 3 to build, 4 of frozen
    passes, 5 to compile, 6 to train, 7 to tune and 8 to predict, each."""
    shared = {"data": 2.0, "build": 3.0}
    spent = ImportTime(1.0), shared, PassTimes({"train": 4.0}), 5.0, 6.0, 7.0, 8.0
    records = read_records(make_run(folder, [Net("a")], seeds=(0, 1)))
    return [
        replace(record, seconds=trial_seconds(*spent, first=number == 0))
        for number, record in enumerate(records)
    ]


def test_parts_that_seeds_share_count_once(tmp_path: Path) -> None:
    found = effort(trials(tmp_path / "r"))
    assert found.parts == {
        "measuring": 2 * 8,
        "tuning": 2 * 7,
        "preparing": 1 + 3 + 4 + 5,  # data came from the cache
        "training": 2 * 6,
    }
    assert list(found.parts) == ["measuring", "tuning", "preparing", "training"]
    assert found.seconds == 16 + 14 + 13 + 12
    assert found.joules is None


def test_measurements_shared_by_seeds_count_once(tmp_path: Path) -> None:
    first, second = trials(tmp_path / "r")
    first = with_seconds(first, "probes", 10.0)
    second = with_seconds(second, "probes", 10.0, 10.0)
    assert effort([first, second]).parts["measuring"] == pytest.approx(2 * 8 + 10)


def test_energy_of_shared_queries_counts_once(tmp_path: Path) -> None:
    first, second = trials(tmp_path / "r")
    (keras,) = first.runtimes
    timed = (replace(keras, joules={"1": 20.0, "8": 30.0}),)
    both = [replace(one, runtimes=timed, joules=400.0) for one in (first, second)]
    assert effort(both).joules == 400 + 400 + 50


def test_the_effort_is_a_fact_of_the_run(tmp_path: Path) -> None:
    nets = [Net("a", latency_ms=20), Net("b", fails="out of memory")]
    findings = analyse_run(read_run(make_run(tmp_path / "r", nets)))
    # 3 + 1.5 + 2.5 + 5 + 4 s less 1.5 s for data that was cached, 10 to train, 5 to measure.
    said = dict(facts(findings))["Effort"]
    assert said == "30 s of computing: 15 s preparing, 10 s training, 5.0 s measuring"
