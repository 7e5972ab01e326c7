"""The library: what `import bench` gives, requests as programs write them, and finished runs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import user
from scripted_executor import ScriptedExecutor
from tiny import write_images

import bench
from bench.cli.commands import run_command
from bench.cli.main import parser
from bench.errors import BenchError, UsageError
from bench.execution import launch
from bench.execution.progress import RunEvent, RunPreview
from bench.execution.request import RunRequest
from bench.training.events import TrialEnded, WritingReports

HEAVY = ("pandas", "keras", "tensorflow", "numpy", "rich")


def test_importing_it_imports_nothing_heavy() -> None:
    code = f"import sys, bench\nprint([name for name in {HEAVY} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_its_names_are_there_when_they_are_asked_for() -> None:
    for name in bench.__all__:
        assert getattr(bench, name) is not None
    assert set(bench.__all__) == set(dir(bench))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        bench.nothing  # noqa: B018


def test_choices_as_people_write_them() -> None:
    request = RunRequest.of(
        {"backbones": ["one", "two"], "dataset": Path("photos"), "seeds": 3, "plugins": ["p.py"]}
    )
    assert request.backbones == "one,two"
    assert request.dataset == "photos"
    assert request.seeds == (0, 1, 2)
    assert request.plugins == (Path("p.py"),)
    assert RunRequest.of({"seeds": [7, 9]}).seeds == (7, 9)
    one = RunRequest.of({"plugins": "p.py", "packages": "mine", "results": "r", "limit": None})
    assert one.plugins == (Path("p.py"),)
    assert one.packages == ("mine",)
    assert one.results == Path("r")
    assert RunRequest.of({"plugins": Path("p.py"), "margin": 2}).plugins == one.plugins


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"backbone": "one"}, "unknown choice of a run 'backbone'. Did you mean 'backbones'"),
        ({"seeds": 0}, "seeds must be how many, 1 or more, or a list of whole numbers; got 0"),
        ({"seeds": 2.0}, "seeds must be how many, .*; got 2.0"),
        ({"seeds": "a"}, "seeds must be how many, .*; got 'a'"),
        ({"seeds": True}, "seeds must be how many, .*; got True"),
        ({"seeds": [1, 1]}, "seeds must be different"),
        ({"seeds": [-1]}, "seeds must be from 0"),
        ({"dataset": 3}, "dataset must be text; got 3"),
        ({"backbones": 3}, "backbones must be text; got 3"),
        ({"backbones": ["one", 3]}, "backbones must be text; got"),
        ({"results": 3}, "results must be a path; got 3"),
        ({"plugins": 3}, "plugins must be a list of paths; got 3"),
        ({"results": None}, "results must be a path; got None"),
        ({"audit": 1}, "audit must be True or False; got 1"),
        ({"input_size": "160"}, "input_size must be one or more whole numbers; got '160'"),
        ({"input_size": [96, "x"]}, "input_size must be one or more whole numbers; got"),
        ({"input_size": [96, 96]}, "input_size must be different"),
        ({"limit": 2.5}, "limit must be a whole number; got 2.5"),
        ({"margin": "x"}, "margin must be a number; got 'x'"),
        ({"margin": 0}, "margin must be above 0 and below 100; got 0"),
        ({"threads": -1}, "threads must be 1 or more, or 0 for all cores; got -1"),
        ({"latency_seconds": float("nan")}, "latency_seconds must be above 0; got nan"),
        ({"fractions": 0.5}, "fractions must be a list of numbers; got 0.5"),
        ({"fractions": [1, 1]}, "fractions must be different"),
        ({"fractions": [0.5, 2]}, "fractions must be above 0, up to 1"),
        ({"input_size": 0}, r"input_size must be above 0; got \[0\]"),
        ({"device": "cuda"}, "device must be one of auto, cpu, gpu; got 'cuda'"),
        ({"precision": "fp16"}, "precision must be one of float32, mixed_bfloat16"),
        ({"on_leak": "stop"}, "on_leak must be one of warn, drop, fail; got 'stop'"),
        ({"keep_models": True}, "keep_models must be one of none, best, all; got True"),
        ({"tune": 1}, "tune must be from 2 to 9; got 1"),
    ],
)
def test_choices_that_no_run_has(choices: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        RunRequest.of(choices)


def test_the_command_line_makes_the_request_that_a_program_makes() -> None:
    words = ["run", "--backbones", "one", "--seed", "4", "--no-audit", "--no-cache", "--limit", "9"]
    arguments = parser("run").parse_args(words)
    arguments.words, arguments.packages = words, ()
    asked = run_command.request_of(arguments, RunRequest)
    choices = {"backbones": "one", "seeds": [4], "audit": False, "cache_features": False}
    made = RunRequest.of({**choices, "limit": 9, "command": asked.command})
    assert asked == made
    # Every option of `run` that is no choice of a run is about what this command shows.
    named = set(vars(arguments)) - {field.name for field in fields(RunRequest)}
    shown = {"command", "debug", "dry_run", "json", "open", "quiet", "verbose", "words"}
    assert named - {"command"} == shown - {"command"}


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_backbone")
def test_a_run_as_one_call(tmp_path: Path) -> None:
    write_images(tmp_path / "data", {"train": 8, "validation": 4, "test": 4})
    choices = {"backbones": "tiny", "dataset": tmp_path / "data", "seeds": 2, "run": "r"}
    places = {"results": tmp_path / "results", "cache": tmp_path / "cache"}
    heard: list[RunEvent] = []
    request = RunRequest.of(choices | places)

    made = launch.run(request, heard.append, ScriptedExecutor())

    (planned,) = (event for event in heard if isinstance(event, RunPreview))
    assert [trial.seed for trial in planned.untrained] == [0, 1]
    ended = [event for event in heard if isinstance(event, TrialEnded)]
    assert [event.record.trial.seed for event in ended] == [0, 1]
    assert isinstance(heard[-1], WritingReports)
    assert made.report == tmp_path / "results" / "r" / "report.html"
    assert made.report.is_file()
    assert made.table()["backbone"].tolist() == ["tiny"]
    assert made.verdict.sentence.startswith("No pretrained backbone finished")
    for name in ("r", "latest"):
        again = bench.load_run(name, tmp_path / "results")
        assert [record.trial.seed for record in again.records] == [0, 1]
        assert again.incomplete == made.incomplete
    with pytest.raises(UsageError, match="there is no run 'nothing'"):
        bench.load_run("nothing", tmp_path / "results")


@pytest.mark.slow
def test_a_finished_run_classifies_images(trained_run: Path) -> None:
    run = bench.load_run(trained_run)
    images = trained_run.parent.parent / "data" / "test"
    with pytest.raises(BenchError, match="a plugin that is not loaded; name the plugin with --"):
        run.predict(images, backbone="tiny")
    with user.unchanged():
        answers = run.predict(images, backbone="tiny", plugins=[user.PLUGINS / "tiny_backbone.py"])
        (bad,) = run.predict([trained_run / "run.json"], backbone="tiny").itertuples()
    assert bad.error
    assert len(answers) == 24
    assert answers["error"].unique().tolist() == [""]
    assert np.allclose([sum(row) for row in answers["probabilities"]], 1, atol=1e-6)
    assert (answers["confidence"] == [max(row) for row in answers["probabilities"]]).all()
    with pytest.raises(BenchError, match="ranks no backbone"):
        run.predict(images)
