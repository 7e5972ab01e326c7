"""Several input sizes in one run: each backbone and size is a row with its own name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from plans import PROTOCOL, backbone, plan, plan_of
from scripted_executor import ScriptedExecutor
from synthetic import Net, make_run, write_records
from user import User

from bench.analysis.comparison import compare
from bench.analysis.findings import analyse_run
from bench.errors import UnknownNameError
from bench.execution.plan import with_input_sizes
from bench.execution.request import RunRequest
from bench.models import weights
from bench.models.rebuild import find_record
from bench.storage.records import read_records, read_run
from bench.types import WeightsFile

NETS = {
    "tiny@32": Net("tiny", 2.0, latency_ms=1.0),
    "tiny@48": Net("tiny", 9.0, latency_ms=2.0),
}


def test_each_backbone_at_each_size_has_its_own_trials_and_name() -> None:
    one, large = backbone("one", gmacs=1.0), backbone("large", minimum_size=48)
    made = plan_of([one, large], input_size=(32, 64), seeds=(0, 1))
    assert [p.name for p in made.planned] == ["one@32", "one@64", "large@64"]
    assert [p.input_size for p in made.planned] == [32, 64, 64]
    assert len({trial.key for trial in made.trials}) == len(made.trials) == 6
    (left_out,) = made.skipped
    assert left_out.backbone == "large@32"
    assert left_out.reason == "large takes images of 48 px or more, got 32 px."
    # One at twice the side takes four times as long.
    small, full = (p.cost for p in made.planned[:2])
    assert small is not None
    assert full is not None
    assert full.per_image == pytest.approx(4 * small.per_image)


def test_a_single_size_keeps_the_names_and_keys_of_older_versions() -> None:
    """These keys are from an older version; with others, its runs would be trained again."""
    assert plan("one").trials[0].key == "8650f4615b96eb63"
    (trial,) = plan("one", input_size=96).trials
    assert (trial.key, trial.name) == ("2280c8454bda1100", "one")


def test_input_size_takes_one_size_or_several_in_any_order() -> None:
    assert RunRequest.of({"input_size": 160}).input_size == (160,)
    assert RunRequest.of({"input_size": None}).input_size == ()
    assert RunRequest.of({"input_size": [160, 128]}).input_size == (128, 160)


def test_weights_are_located_for_each_size(tmp_path: Path) -> None:
    files = tuple(WeightsFile(f"http://x/at_{n}.h5", input_size=n) for n in (64, 96))
    for file in files:
        (tmp_path / file.filename).touch()
    sized = with_input_sizes([backbone("one", weights=files)], PROTOCOL, (64, 96))
    found = weights.locate_all(sized, str(tmp_path), say=print, progress=lambda done, total: None)
    assert {place: one and one.location for place, one in found.items()} == {
        ("one", 64): "at_64.h5",
        ("one", 96): "at_96.h5",
    }


def test_the_note_on_missing_weights_names_the_size() -> None:
    said: list[str] = []
    sized = with_input_sizes([backbone("one")], PROTOCOL, (64, 96))
    weights.locate_all(sized, "auto", say=said.append, progress=lambda done, total: None)
    (line,) = said
    assert line.startswith("one@64 and one@96 run with random weights")


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_backbone")
def test_each_size_is_a_row_in_records_and_reports(tmp_path: Path) -> None:
    user, executor = User(tmp_path), ScriptedExecutor(nets=NETS)
    ended = user.main("--input-size", "48,32", "--seeds", "2", executor=executor)
    assert ended.returncode == 0, ended.stderr
    assert executor.ran == [("tiny@32", 0), ("tiny@32", 1), ("tiny@48", 0), ("tiny@48", 1)]
    run = user.load()
    findings = analyse_run(run)
    assert findings.backbones["label"].tolist() == ["tiny@48", "tiny@32"]
    assert findings.backbones["seeds"].tolist() == [2, 2]
    for name in ("report.md", "report.html", "summary.csv"):
        page = (user.results / "r" / name).read_text(encoding="utf-8")
        assert {"tiny@32", "tiny@48"} <= set(re.findall(r"tiny@\d+", page)), name
    assert "tiny@48, seed 1: done" in ended.stdout
    # The best seed of each size is kept.
    assert find_record(run, "tiny@32").trial.input_size == 32
    assert find_record(run, "tiny@48").trial.input_size == 48
    with pytest.raises(UnknownNameError, match="tiny@64"):
        find_record(run, "tiny@64")


def test_a_run_of_one_size_is_compared_with_that_size_of_another(tmp_path: Path) -> None:
    before, after = make_run(tmp_path / "a", [Net("a")]), make_run(tmp_path / "b", [Net("a")])
    (record,) = read_records(after)
    sized = replace(record, trial=replace(record.trial, sized=True))
    small = replace(record, trial=replace(sized.trial, key="0" * 16, input_size=96))
    write_records(after, [small, sized])
    found = compare(analyse_run(read_run(before)), analyse_run(read_run(after)))
    assert {change.label for change in found.changes} == {"a"}
    assert [one.label for one in found.refused if not one.figures] == ["a@96"]
    assert found.lost == ()
