"""results/index.html: every run, newest first, from the files of each run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from synthetic import Net, make_run, write_records

from bench import reports as report
from bench.cli.main import main
from bench.storage.records import read_records

NETS = (Net("alpha"), Net("beta", source="random init"), Net("gamma", fails="no memory"))


def made(results: Path, name: str, day: int) -> Path:
    folder = made_only(results, name, day)
    report.render(folder)
    return folder


def made_only(results: Path, name: str, day: int) -> Path:
    """Return a run's folder without reports."""
    dataset = {"name": "demo", "fingerprint": "ab" * 32, "counts": {"train": 120, "test": 60}}
    created = f"2025-03-{day:02}T12:00:00+00:00"
    return make_run(results / name, NETS, dataset=dataset, created=created)


def listed(results: Path) -> dict[str, Any]:
    page = report.write_index(results).read_text(encoding="utf-8")
    found = re.search(r'id="data">(.*?)</script>', page)
    assert found is not None
    data: dict[str, Any] = json.loads(found.group(1))
    return data


def rows(data: dict[str, Any], section: str) -> list[dict[str, Any]]:
    """Return the cells of the table of a section, by title."""
    (table,) = (b for b in data["sections"][section]["blocks"] if b["kind"] == "table")
    titles = [column["title"] for column in table["columns"]]
    return [dict(zip(titles, row, strict=True)) for row in table["rows"]]


def names(data: dict[str, Any]) -> list[str]:
    return [run["Run"]["text"] for run in rows(data, "runs")]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    made(folder, "older", 1)
    made(folder, "newer # %", 2)
    report.point_latest(folder, "older")
    return folder


@pytest.mark.slow
def test_runs_are_listed_once_and_newest_first(results: Path) -> None:
    data = listed(results)
    assert names(data) == ["newer # %", "older"]
    newest = rows(data, "runs")[0]
    assert newest["Run"]["link"] == "newer%20%23%20%25/report.html"
    assert newest["Created"]["text"] == "2025-03-02 12:00"
    assert (newest["Best"]["text"], newest["Recommended"]["text"]) == ("alpha", "alpha")
    assert newest["Images"]["value"] == 180
    assert newest["Failed"]["value"] == 1


@pytest.mark.slow
def test_a_history_has_no_accuracy_of_random_weights(results: Path) -> None:
    data = listed(results)
    assert data["sections"]["overview"]["blocks"][0]["sentence"] == (
        "2 runs on 1 data set, newest first."
    )
    history = rows(data, "history_1")
    assert [(row["Backbone"]["text"], row["Run"]["text"]) for row in history] == [
        ("alpha", "newer # %"),
        ("alpha", "older"),
        ("beta", "newer # %"),
        ("beta", "older"),
    ]
    assert ["value" in row["Accuracy"] for row in history] == [True, True, False, False]
    assert history[-1]["Accuracy"]["text"] == "no pretrained weights"
    assert all("value" in row["p50"] for row in history)
    chart = data["sections"]["history_1"]["blocks"][0]
    (course,) = chart["panels"][0]["layers"]
    assert course["name"] == "alpha"
    assert [mark["x"] for mark in course["marks"]] == [1, 2]
    assert [mark["tip"][1] for mark in course["marks"]] == ["older", "newer # %"]


def test_each_input_size_has_a_history_of_its_own(tmp_path: Path) -> None:
    for day, sizes in enumerate(({"a": 64}, {"a@64": 64, "a@96": 96}), 1):
        folder = made_only(tmp_path, str(day), day)
        table = [f"ok,a,{size},{label}" for label, size in sizes.items()]
        (folder / "summary.csv").write_text("\n".join(["status,backbone,input_size,label", *table]))
        standings = [{"label": label, "accuracy": 0.5} for label in sizes]
        (folder / "verdict.json").write_text(json.dumps({"standings": standings}))
    chart = listed(tmp_path)["sections"]["history_1"]["blocks"][0]
    (course,) = chart["panels"][0]["layers"]  # at 96 px there is one run alone
    assert (course["name"], [mark["x"] for mark in course["marks"]]) == ("a@64", [1, 2])


@pytest.mark.slow
def test_a_run_that_refuses_to_rank_has_no_best(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "mixed", (Net("alpha"), Net("beta")))
    first, second = read_records(folder)
    other = replace(second, trial=replace(second.trial, protocol_digest="other"))
    write_records(folder, [first, other])
    report.render(folder)
    (run,) = rows(listed(tmp_path), "runs")
    assert [run[name]["text"] for name in ("Best", "Recommended", "Accuracy")] == ["–"] * 3


@pytest.mark.slow
def test_the_best_is_that_of_the_verdict_over_the_shared_seeds(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "one", (Net("alpha", 3.4), Net("beta", 3.0)), seeds=(0, 1))
    kept = [r for r in read_records(folder) if (r.trial.backbone, r.trial.seed) != ("beta", 1)]
    write_records(folder, kept)
    report.render(folder)
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    (run,) = rows(listed(tmp_path), "runs")
    assert run["Best"]["text"] == verdict["best"]
    assert run["Accuracy"]["value"] == pytest.approx(verdict["standings"][0]["accuracy"], abs=1e-6)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("run.json", b"{"),
        ("run.json", b"[]"),
        ("run.json", b'{"dataset": {"counts": [1]}}'),
        ("run.json", b'{"protocol": 3}'),
        ("run.json", b"[" * 100_000),
        ("summary.csv", b"nothing,of,this\n1,2,3\n"),
        ("summary.csv", b"status,backbone,input_size,label\nok,a,x,a\n"),
        ("summary.csv", b"\xff\x00"),
        ("verdict.json", b"[]"),
        ("verdict.json", b'{"standings": [{"label": "a", "accuracy": null}]}'),
        ("verdict.json", b'{"best": [], "standings": 3}'),
    ],
)
def test_a_damaged_run_does_not_hide_the_others(file: str, content: bytes, tmp_path: Path) -> None:
    make_run(tmp_path / "good", NETS)
    (make_run(tmp_path / "bad", NETS) / file).write_bytes(content)
    assert sorted(names(listed(tmp_path))) == ["bad", "good"]


@pytest.mark.slow
def test_report_writes_the_index_only_next_to_its_own_runs(tmp_path: Path) -> None:
    mine, elsewhere = tmp_path / "results", tmp_path / "elsewhere"
    made(mine, "one", 1)
    other = made(elsewhere, "two", 1)
    assert main(["report", "one", "--results", str(mine)]) == 3  # one has failed
    assert (mine / "index.html").is_file()
    assert main(["report", str(other), "--results", str(mine)]) == 3
    assert not (elsewhere / "index.html").exists()


@pytest.mark.slow
def test_open_shows_the_page_or_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path, "one", 1)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address))
    assert main(["report", "one", "--results", str(tmp_path), "--open"]) == 3
    page = folder / "report.html"
    assert opened == [page.as_uri()]
    assert str(page) in capsys.readouterr().err  # `None` is no browser
