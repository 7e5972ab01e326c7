"""Exit codes of `report` and `choose` for each kind of run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import Net, make_run, write_records

from bench import reports as report
from bench.cli.main import main
from bench.storage.arrays import arrays_path
from bench.storage.records import read_records

FAST, SLOW = Net("fast", latency_ms=10), Net("slow", latency_ms=50)
RANDOM = Net("random", source="random init")
FAILED = Net("failed", fails="it was told to")


def _as_it_is(folder: Path) -> None: ...


def _gone(folder: Path) -> None:
    for path in (folder / "arrays").iterdir():
        path.unlink()


def _damaged(folder: Path) -> None:
    arrays_path(folder, read_records(folder)[0].trial.key).write_bytes(b"")


def _unlike(folder: Path) -> None:
    first, *others = read_records(folder)
    trial = replace(first.trial, protocol_digest="0" * 16)
    write_records(folder, [replace(first, trial=trial), *others])


@pytest.mark.parametrize(
    ("nets", "damage", "words", "code"),
    [
        ([FAST, SLOW], _as_it_is, ["report"], 0),
        ([FAST, RANDOM], _as_it_is, ["report"], 0),
        ([FAST, FAILED], _as_it_is, ["report"], 3),
        ([FAST, SLOW], _gone, ["report"], 3),
        ([FAST, SLOW], _unlike, ["report"], 3),
        ([FAST, SLOW], _damaged, ["report"], 1),
        ([FAST, SLOW], _as_it_is, ["choose"], 0),
        ([FAST, SLOW], _as_it_is, ["choose", "--max-latency-ms", "20"], 0),
        ([FAST, SLOW], _as_it_is, ["choose", "--max-latency-ms", "1"], 4),
        ([FAST, SLOW], _as_it_is, ["choose", "--runtime", "nothing"], 2),
        ([RANDOM], _as_it_is, ["choose"], 3),
        ([FAST, SLOW], _unlike, ["choose"], 3),
        ([FAST, SLOW], _damaged, ["choose"], 1),
    ],
)
def test_exit_codes(
    nets: Sequence[Net],
    damage: Callable[[Path], None],
    words: Sequence[str],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(report, "write", lambda *arguments, **options: [])
    damage(make_run(tmp_path / "r", nets, images=20))
    command, *options = words
    assert main([command, "r", *options, "--results", str(tmp_path)]) == code


def test_reports_are_not_written_through_a_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, outside = make_run(tmp_path / "r", [FAST], images=20), tmp_path / "outside"
    outside.mkdir()
    (folder / "figures").symlink_to(outside)
    assert main(["report", "r", "--results", str(tmp_path)]) == 1
    assert "figures is a link that leads out of the run's folder" in capsys.readouterr().err
    assert list(outside.iterdir()) == []
    assert not (folder / "report.md").exists()
