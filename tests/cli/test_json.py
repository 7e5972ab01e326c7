"""`--json` on the real command line: one object per line, and nothing else on standard output."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plans import plan
from scripted_executor import DIES, ScriptedExecutor
from synthetic import Net, make_run
from tiny import write_images
from user import ROOT, Ended, User, in_process

from bench.analysis.choice import Choice
from bench.analysis.comparison import Comparison
from bench.cli.json_lines import KEYS, TRIAL, write_event
from bench.cli.json_run import JsonEvents
from bench.cli.main import main
from bench.data.audit.result import Audit
from bench.execution.status import Status
from bench.inference.prediction import Prediction
from bench.training.events import RunProgress, RuntimeMeasured, StageProgress, TaskProgress
from bench.types import RuntimeResult


def lines(ended: Ended) -> list[dict[str, Any]]:
    """Parse every line of the output, each of which must be an object."""
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert all(isinstance(one, dict) for one in found)
    return found


@pytest.fixture
def two_runs(tmp_path: Path) -> Path:
    for name in ("before", "after"):
        make_run(tmp_path / "results" / name, (Net("one"), Net("two", skill=2.0)))
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_backbone")
def test_a_run_writes_all_kinds_of_events(tmp_path: Path) -> None:
    ended = User(tmp_path).main("--seeds", "2", "--json")
    found = lines(ended)
    plan = next(one for one in found if one["event"] == "plan")
    assert (plan["trials"], plan["to_train"], plan["skipped"]) == (2, 2, [])
    assert next(one["phase"] for one in found if one["event"] == "epoch") == "head"
    trials = [one for one in found if one["event"] == "trial"]
    assert [(one["backbone"], one["seed"], one["status"]) for one in trials] == [
        ("tiny", 0, "ok"),
        ("tiny", 1, "ok"),
    ]
    shares = [one["share"] for one in found if one["event"] == "progress"]
    assert shares == sorted(shares)
    result = found[-1]
    assert (result["event"], result["exit_code"]) == ("result", ended.returncode)
    assert result["report"]["format"] == "backbone-bench-report/1"
    (row,) = result["report"]["backbones"]
    # The weights are random.
    assert [row["figures"]["accuracy"], *(one["accuracy"] for one in trials)] == [None] * 3
    assert "report.html" in ended.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_backbone")
def test_a_run_writes_the_failed_trials(tmp_path: Path) -> None:
    ended = User(tmp_path).main("--json", executor=ScriptedExecutor(lambda job, trial: DIES))
    (trial,) = (one for one in lines(ended) if one["event"] == "trial")
    assert (trial["status"], trial["reason"], trial["accuracy"]) == ("failed", str(DIES), None)
    assert lines(ended)[-1]["exit_code"] == ended.returncode == 3


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_backbone")
def test_a_run_writes_that_it_was_interrupted(tmp_path: Path) -> None:
    executor = ScriptedExecutor(lambda job, trial: KeyboardInterrupt())
    ended = User(tmp_path).main("--json", executor=executor)
    found = lines(ended)
    assert [one["event"] for one in found[-3:]] == ["interrupted", "reports", "error"]
    assert found[-1]["exit_code"] == ended.returncode == 130


def test_progress_is_written_only_when_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    tell, (trial,) = JsonEvents(), plan("one").trials
    for done in range(21):
        tell(TaskProgress("decoding images", done, 20))
        tell(StageProgress(trial, "head", done, 20))
        tell(RunProgress(done / 2000, 100.0 - done))
    tell(RuntimeMeasured(trial, RuntimeResult("onnx", status="failed", reason="no"), None))
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [(one["event"], one.get("done")) for one in found]
    assert told == [
        ("task", 0),
        ("stage", None),
        ("progress", None),
        *[("task", done) for done in range(2, 20, 2)],
        ("task", 20),
        ("progress", None),
        ("runtime", None),
    ]
    assert found[-1] | {"latency_ms": None, "reason": "no", "backbone": "one"} == found[-1]


@pytest.mark.usefixtures("tiny_backbone")
def test_a_dry_run_writes_the_plan(tmp_path: Path) -> None:
    ended = User(tmp_path).main("--dry-run", "--json")
    assert lines(ended)[-1]["event"] == "plan"
    assert "Dry run" in ended.stderr


@pytest.mark.usefixtures("tiny_backbone")
@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["run", "--nonsense"], 2, "'--nonsense' is not known here."),
        (["run", "--seeds", "x"], 2, "argument --seeds: must be how many seeds"),
        (["run", "--backbones", "nothing"], 2, "unknown backbone 'nothing'"),
        (["list", "--plugin", "nothing.py"], 2, "plugin nothing.py does not exist"),
        (["check", "nothing"], 2, "unknown backbone 'nothing'"),
        (["audit", "nowhere"], 2, "no data set 'nowhere'"),
        (["choose"], 2, "there is no run 'latest'"),
        (["compare", "one", "two"], 2, "there is no run 'one'"),
        (["predict", "nothing", "a.png"], 2, "there is no run 'nothing'"),
    ],
)
def test_an_error_is_an_object_too(words: list[str], code: int, error: str, tmp_path: Path) -> None:
    ended = in_process(tmp_path, *words, "--json")
    (found,) = lines(ended)
    assert (found["event"], found["exit_code"], ended.returncode) == ("error", code, code)
    assert found["error"].startswith(error)
    assert f"error: {error}" in ended.stderr


def test_list_choose_and_compare_write_one_object(two_runs: Path) -> None:
    (listed,) = lines(in_process(two_runs, "list", "--json"))
    assert {"backbones", "datasets", "protocols", "runtimes", "executors"} <= listed.keys()
    (choice,) = lines(in_process(two_runs, "choose", "after", "--json"))
    assert choice["pick"]["label"] == "one"
    (compared,) = lines(in_process(two_runs, "compare", "before", "after", "--json"))
    assert {change["label"] for change in compared["changes"]} == {"one", "two"}


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_backbone")
def test_check_writes_one_line_per_check(tmp_path: Path) -> None:
    ended = in_process(tmp_path, "check", "tiny", "--json")
    *checks, caution, last = lines(ended)
    assert {one["check"] for one in checks} >= {"preprocess", "build", "cuts", "save"}
    assert {(one["event"], one["status"]) for one in checks} == {("check", "passed")}
    assert caution["text"].startswith("tiny declares no weights")
    assert (last["event"], last["passed"], last["checks"]) == ("checked", len(checks), len(checks))
    assert ended.returncode == 0


@pytest.mark.slow
def test_audit_writes_one_object(tmp_path: Path) -> None:
    write_images(tmp_path / "data", {"train": 4, "validation": 2, "test": 2})
    ended = in_process(tmp_path, "audit", "data", "--cache", "cache", "--json")
    (found,) = lines(ended)
    assert found["images"] == {"train": 4, "validation": 2, "test": 2}


def test_predict_writes_one_line_per_image(two_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Prediction("a.png", (0.25, 0.75)), Prediction("b.png", reason="the file is empty")]
    monkeypatch.setattr(
        "bench.inference.prediction.predict", lambda model, paths, overlays: answers
    )
    for name in ("a.png", "b.png"):
        (two_runs / name).touch()
    ended = in_process(two_runs, "predict", "after", "one", "a.png", "b.png", "--json")
    model, first, second = lines(ended)
    assert (model["event"], model["backbone"]) == ("model", "one")
    assert (first["class"], first["confidence"]) == (model["classes"][1], 0.75)
    assert first["probabilities"] == [0.25, 0.75]
    assert (second["error"], second["class"]) == ("the file is empty", None)
    assert ended.returncode == 3


def test_predict_reports_the_files_of_a_folder_that_are_no_images(
    two_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.inference.prediction.predict", lambda *of: [])
    (two_runs / "new").mkdir()
    for name in ("a.png", "b.heic", "c.HEIC"):
        (two_runs / "new" / name).touch()
    ended = in_process(two_runs, "predict", "after", "one", "new", "--json")
    assert "note      2 file(s) were ignored (.heic: 2)\n" in ended.stderr
    assert len(lines(ended)) == 1


def test_predict_writes_each_line_immediately(
    two_runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = []

    def predict(*of: object) -> Iterator[Prediction]:
        for name in ("a.png", "b.png"):
            yield Prediction(name, (0.25, 0.75))
            written.append(name in capsys.readouterr().out)

    monkeypatch.setattr("bench.inference.prediction.predict", predict)
    (two_runs / "a.png").touch()
    results = str(two_runs / "results")
    words = ["predict", "after", "one", str(two_runs / "a.png"), "--json", "--results", results]
    assert main(words) == 0
    assert written == [True, True]


def documented(columns: int) -> dict[str, str]:
    """The last cells of the tables with so many columns in the page, by the first ones."""
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    return {row[0].strip("`"): row[-1] for row in rows if len(row) == columns and "`" in row[0]}


@pytest.mark.parametrize(
    ("command", "result"),
    [("status", Status), ("audit", Audit), ("choose", Choice), ("compare", Comparison)],
)
def test_every_key_of_a_result_is_documented(command: str, result: type) -> None:
    told = documented(2)[command]
    assert [f.name for f in dataclasses.fields(result) if f"`{f.name}`" not in told] == []


def test_every_key_of_a_line_is_documented() -> None:
    told = documented(3)
    assert told.keys() == KEYS.keys()
    for event, keys in KEYS.items():
        own = keys[len(TRIAL) :] if keys[: len(TRIAL)] == TRIAL else keys
        assert [key for key in own if f"`{key}`" not in told[event]] == [], event


def test_a_line_has_the_keys_of_its_kind() -> None:
    with pytest.raises(AssertionError):
        write_event("note")
    with pytest.raises(AssertionError):
        write_event("note", text="", more="")
