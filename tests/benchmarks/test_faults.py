"""The campaign of injected faults, one of every kind; and that it would see what goes wrong."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from fault_campaign import judging
from fault_campaign.campaign import chosen_kinds, in_turn
from fault_campaign.case import Kind
from fault_campaign.home import Home

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the campaign is Linux's alone")

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_fault_of_every_kind_is_survived() -> None:
    """Of those that need no framework, which come last."""
    cases = sum(not kind.framework for kind in chosen_kinds([]))
    # One at a time: with pytest-xdist other tests run meanwhile.
    campaign = (str(ROOT / "benchmarks" / "faults.py"), "--cases", str(cases), "--jobs", "1")
    result = subprocess.run(
        [sys.executable, *campaign],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{cases} survived, 0 failed" in result.stdout
    lines = result.stdout.splitlines()
    assert sum(" 1 tried " in line for line in lines) == cases


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """As much of a run as is judged."""
    folder = tmp_path / "results" / "r"
    (folder / "arrays").mkdir(parents=True)
    lines = []
    for number, (backbone, seed) in enumerate(judging.EXPECTED):
        trial = {"backbone": backbone, "seed": seed, "key": f"k{number}"}
        lines.append(json.dumps({"trial": trial, "status": "ok"}))
        arrays = {"test_probabilities": np.full(3, number), "latency_keras_b1": np.ones(2)}
        np.savez(folder / "arrays" / f"k{number}.npz", **arrays)  # type: ignore[arg-type]
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n")
    for name in (*judging.REPORTS, "run.json", "../index.html"):
        (folder / name).write_text("")
    (folder.parent / "latest").symlink_to("r")
    return folder


def problems(run: Path, reference: judging.Figures) -> list[str]:
    return list(judging.incomplete(run, reference, ""))


def test_a_whole_run_is_judged_whole(run: Path) -> None:
    assert problems(run, judging.figures(run)) == []


def test_what_is_lost_doubled_or_wrong_is_seen(run: Path) -> None:
    reference = judging.figures(run)
    records = (run / "records.jsonl").read_text()
    first, *others = records.splitlines(keepends=True)

    (run / "records.jsonl").write_text("".join(others))
    assert "records are" in problems(run, reference)[0]
    (run / "records.jsonl").write_text(first + records)
    assert "records are" in problems(run, reference)[0]
    (run / "records.jsonl").write_text(records.replace('"ok"', '"failed"', 1))
    assert "failed records" in problems(run, reference)[0]
    (run / "records.jsonl").write_text(records)

    # The clock's arrays may differ, one bit of any other may not.
    wrong = {"test_probabilities": np.array([0, 0, 1]), "latency_keras_b1": np.zeros(2)}
    np.savez(run / "arrays" / "k0.npz", **wrong)  # type: ignore[arg-type]
    assert problems(run, reference) == [
        "r ('small', 0): test_probabilities is not that of the undisturbed run"
    ]
    (run / "arrays" / "k0.npz").unlink()
    (run / "report.html").unlink()
    assert "arrays cannot be read" in problems(run, reference)[0]


def test_reports_that_are_missing_or_say_something_else_are_seen(run: Path) -> None:
    (run / "report.html").unlink()
    (run / "per_class.csv").write_text("another,figure\n")
    assert problems(run, judging.figures(run)) == [
        "r: no report.html",
        "r: per_class.csv is not that of the undisturbed run",
    ]


def test_what_is_left_behind_is_seen(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for folder in (home.cache, home.results, home.temporary):
        folder.mkdir(parents=True)
    (home.cache / ".images.123-0123456789abcdef").touch()
    (home.temporary / "tmpx").touch()
    (home.root / "elsewhere").touch()
    assert list(judging.left_behind(home)) == [
        "left behind: elsewhere",
        "left behind: cache/.images.123-0123456789abcdef",
        "left behind: tmp/tmpx",
    ]


@pytest.mark.parametrize("words", ["Traceback (most recent call last):", "fault of backbone-bench"])
def test_words_that_nobody_should_meet_are_seen(words: str) -> None:
    assert list(judging.badly_told("all is well\n")) == []
    assert words.split(" (")[0] in next(judging.badly_told(f"before\n{words}\nafter"))


WRITES = """
import os, sys
from pathlib import Path
from bench.system.files import write_atomic
from benchmarks.fault_campaign.injection import Fault, Injector

home = Path(sys.argv[1])
Injector(home, Fault("ENOSPC", int(sys.argv[2]), match="[.]json")).arm("main")
for number in range(3):
    try:
        write_atomic(home / f"{number}.json", "{}")
    except OSError as error:
        print(number, error.errno)
"""


@pytest.mark.parametrize(("at", "number"), [(1, 0), (2, 0), (3, 1), (6, 2)])
def test_the_chosen_write_meets_the_error(tmp_path: Path, at: int, number: int) -> None:
    """A file is opened and flushed, and neither its new name nor its removal needs room."""
    result = subprocess.run(
        [sys.executable, "-c", WRITES, str(tmp_path), str(at)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert result.stdout.split() == [str(number), str(errno.ENOSPC)]
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == [f"{n}.json" for n in range(3) if n != number]


SIDES = """
import os, sys
from pathlib import Path
from benchmarks.fault_campaign.injection import Fault, Injector

injector = Injector(Path(sys.argv[1]), Fault("ENOSPC", 2, sys.argv[2]))
injector.arm("main")
if os.fork() == 0:
    injector.arm("worker")
    side = "worker"
else:
    os.wait()
    side = "main"
for number in range(3):
    try:
        Path(sys.argv[1], f"{side}{number}").write_text("x")
    except OSError:
        os.write(1, f"{side} {number}".encode())
"""


@pytest.mark.parametrize("side", ["main", "worker"])
def test_a_fault_of_one_side_counts_and_meets_that_side_alone(tmp_path: Path, side: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SIDES, str(tmp_path), side],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert result.stdout == f"{side} 1"


def test_cases_come_in_the_same_order_as_often_as_they_weigh() -> None:
    kinds = [Kind(name, lambda case: None, w, False, "cold") for name, w in (("a", 2), ("b", 1))]
    drawn = [(kind.name, number) for kind, number in islice(in_turn(kinds), 6)]
    assert drawn == [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("a", 4), ("b", 2)]
