"""Warnings about latencies timed differently, and about trials of earlier commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthetic import Net, make_run, write_records

from bench.analysis.findings import analyse_run
from bench.analysis.warnings import latency_cautions, warnings
from bench.reports.manifest import manifest_entry
from bench.storage.records import read_records, read_run
from bench.types import RuntimeResult, Session

NETS = (Net("one", 5.0), Net("two", 2.0), Net("three", 0.5))
STEADY = (0.010, 0.0101, 0.010)


def told(folder: Path, sessions: dict[str, dict[str, Session]]) -> list[str]:
    """Return the warnings of a run whose backbones have these runtimes, each timed in a session."""
    records = []
    for record in read_records(make_run(folder, NETS)):
        timed = sessions[record.trial.backbone]
        results = tuple(RuntimeResult(name, (1,), session=one) for name, one in timed.items())
        first = next(iter(timed.values()))
        records.append(replace(record, runtimes=results, session=first))
    write_records(folder, records)
    return [caution.text for caution in latency_cautions(analyse_run(read_run(folder)).records)]


def session(started: str, calibration: tuple[float, ...] = STEADY, seconds: float = 2.0) -> Session:
    return Session(started, ("one", "two", "three"), 2, 4, 1e11, calibration, seconds)


def test_timing_in_turns_needs_no_warning(tmp_path: Path) -> None:
    both = {"keras": session("1"), "litert": session("1")}
    assert told(tmp_path / "r", dict.fromkeys(("one", "two", "three"), both)) == []


def test_backbones_timed_apart_are_named(tmp_path: Path) -> None:
    early, late = {"keras": session("1")}, {"keras": session("2")}
    (line,) = told(tmp_path / "r", {"one": early, "two": early, "three": late})
    assert line.startswith(
        "The backbones were not all timed together through keras (one, two; three)"
    )
    # So are those that were timed for other seconds.
    longer = {"keras": session("1", seconds=5.0)}
    (line,) = told(tmp_path / "s", {"one": early, "two": early, "three": longer})
    assert "(one, two; three)" in line


def test_a_runtime_of_another_command_is_named(tmp_path: Path) -> None:
    both = {"keras": session("1"), "litert": session("2")}
    (line,) = told(tmp_path / "r", dict.fromkeys(("one", "two", "three"), both))
    assert line.startswith("litert: timed by another command than keras")


def test_a_drift_is_reported_for_its_runtime(tmp_path: Path) -> None:
    both = {"keras": session("1"), "litert": session("1", (0.01, 0.02, 0.01))}
    (line,) = told(tmp_path / "r", dict.fromkeys(("one", "two", "three"), both))
    assert "during the timing of one, two, three through litert: the same work" in line


def test_the_manifest_says_how_each_runtime_was_timed(tmp_path: Path) -> None:
    both = {"keras": session("1"), "litert": session("2", seconds=5.0)}
    told(tmp_path / "r", dict.fromkeys(("one", "two", "three"), both))
    assert manifest_entry(read_records(tmp_path / "r")[0])["timed"] == {
        "keras": {"started": "1", "latency_seconds": 2.0},
        "litert": {"started": "2", "latency_seconds": 5.0},
    }


def test_trials_that_the_last_command_did_not_request_are_named(tmp_path: Path) -> None:
    keys = {
        (r.trial.backbone, r.trial.seed): r.trial.key
        for r in read_records(make_run(tmp_path / "r", NETS, seeds=(0, 1)))
    }
    asked = [keys["one", 0], keys["one", 1], keys["two", 0]]
    make_run(tmp_path / "r", NETS, seeds=(0, 1), asked=asked)
    found = warnings(analyse_run(read_run(tmp_path / "r")))
    (line,) = (w for w in found if w.startswith("Trials of earlier"))
    assert "not requested by the last one: two (seed 1), three." in line
    make_run(tmp_path / "r", NETS, seeds=(0, 1), asked=list(keys.values()))
    found = warnings(analyse_run(read_run(tmp_path / "r")))
    assert not [w for w in found if w.startswith("Trials of earlier")]
