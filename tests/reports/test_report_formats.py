"""Formats for other tools, read back with those tools where they are installed."""

from __future__ import annotations

import csv
import json
import re
import struct
from pathlib import Path

import pandas as pd
import pytest
from synthetic import SIX, Net, make_run

from bench.analysis.findings import analyse_run
from bench.analysis.metrics.base import METRICS
from bench.cli.main import main
from bench.errors import UnknownNameError, UsageError
from bench.reports import formats
from bench.reports.formats import json_report, pull_request, tensorboard, timm
from bench.storage.records import read_run
from bench.system.files import to_json

HOSTILE = ("<script>alert(1)</script>", "line\nbreak | pipe", "=cmd()|' /C calc'!A0", "x" * 300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("formats") / "r", seeds=(0, 1))


@pytest.mark.slow
def test_json_follows_its_published_schema(folder: Path, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(json_report.SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    # Else `python -m bench.reports.formats.json_report` writes it anew.
    assert schema == json.loads(to_json(json_report.schema()))
    hostile = make_run(tmp_path / "h", [*SIX, Net("=evil\n<b>")], classes=HOSTILE)
    unfinished = make_run(tmp_path / "u", [Net("net", fails="out of memory")])
    for one in (folder, hostile, unfinished):
        (path,) = formats.write(one, ["json"])
        jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_text()))


def test_json_says_what_the_table_says(folder: Path) -> None:
    findings = analyse_run(read_run(folder))
    content = json_report.content(findings)
    best = content.backbones[0]
    assert best.label == findings.backbones["label"].iloc[0]
    assert best.rank == 1
    assert best.figures["accuracy"] == findings.backbones["accuracy"].iloc[0]
    assert best.standard_deviations["accuracy"] is not None
    by_label = {row.label: row for row in content.backbones}
    random = by_label["inceptionv3 (random init)"]
    assert random.rank is None
    answers = [metric.name for metric in METRICS if metric.kind == "answers"]
    assert all(random.figures[name] is None for name in answers)
    assert random.figures["latency_p50_ms"] is not None
    assert by_label["vgg16"].figures["accuracy"] is None
    assert len(content.trials) == 12


def test_a_short_table_for_a_pull_request(folder: Path) -> None:
    text = pull_request.text(analyse_run(read_run(folder)))
    lines = text.splitlines()
    assert lines[0].startswith(("resnet50", "efficientnet"))
    assert len([line for line in lines if line.startswith("|")]) == 2 + 4
    assert "inceptionv3" in text.partition("<details>")[2]
    assert "inceptionv3" not in text.partition("<details>")[0]  # it has no accuracy
    assert "<details><summary>Notes</summary>" in text


def test_hostile_names_stay_text_in_a_pull_request(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", [Net("=evil|`net`\n<b>")], classes=HOSTILE)
    text = pull_request.text(analyse_run(read_run(run)))
    assert "<script>" not in text
    assert "<b>" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 3


def test_a_pull_request_mentions_nobody(tmp_path: Path) -> None:
    nets = [Net("@torvalds"), Net("https://example.org", fails="see https://example.org/@me")]
    text = pull_request.text(analyse_run(read_run(make_run(tmp_path / "r", nets))))
    assert "@&#8203;torvalds" in text
    assert "https:&#8203;//example.org" in text
    assert not re.search(r"@\w|://|www\.", text)


def test_parquet_has_the_columns_of_the_summary(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    (path,) = formats.write(folder, ["parquet"])
    table = pd.read_parquet(path)
    findings = analyse_run(read_run(folder))
    expected = findings.with_standings(findings.trials).reset_index(drop=True)
    assert list(table.columns) == list(expected.columns)
    assert table["accuracy"].tolist() == pytest.approx(expected["accuracy"].tolist(), nan_ok=True)
    assert str(table["seed"].dtype) == "int64"


def test_timm_columns_have_the_meaning_of_timm(folder: Path) -> None:
    (path,) = formats.write(folder, ["timm"])
    rows = {row["model"]: row for row in csv.DictReader(path.read_text().splitlines())}
    assert "vgg16" not in rows  # it failed
    table = analyse_run(read_run(folder)).backbones.set_index("backbone")
    net, row = rows["mobilenetv2"], table.loc["mobilenetv2"]
    assert float(net["top1"]) == pytest.approx(100 * row["accuracy"], rel=1e-5)
    assert float(net["top1"]) + float(net["top1_err"]) == pytest.approx(100, abs=1e-3)
    assert float(net["param_count"]) == pytest.approx(2.259265, rel=1e-5)
    # 8 images a step: seconds a step times steps a second is one.
    steps = float(net["infer_samples_per_sec"]) / float(net["infer_batch_size"])
    assert float(net["infer_step_time"]) * steps == pytest.approx(1000, rel=1e-4)
    assert net["infer_batch_size"] == "8"
    assert rows["inceptionv3"]["top1"] == ""  # random init
    assert rows["inceptionv3"]["infer_samples_per_sec"] != ""
    assert "top5" not in net  # of two classes


def test_timm_top5_of_more_classes_and_no_formula(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", [Net("=net", 2.0)], classes=[f"c{i}" for i in range(10)])
    (row,) = timm.frame(analyse_run(read_run(run))).to_dict("records")
    assert row["model"] == "'=net"
    assert row["top1"] < row["top5"] <= 100


def test_tensorboard_reads_every_epoch_and_figure(folder: Path) -> None:
    (path,) = formats.write(folder, ["tensorboard"])
    assert len(list(path.iterdir())) == 10  # 5 finished, 2 seeds each
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulators.EventAccumulator(str(path / "mobilenetv2-seed-0"))
    found.Reload()
    run = read_run(folder)
    (record,) = (r for r in run.records if (r.trial.backbone, r.trial.seed) == ("mobilenetv2", 0))
    epochs = [epoch for phase in record.phases for epoch in phase.epochs]
    read = found.Scalars("loss/train")
    assert [event.step for event in read] == list(range(1, len(epochs) + 1))
    assert [event.value for event in read] == pytest.approx([e.loss for e in epochs])
    (size,) = found.Scalars("figures/size_mb")
    assert size.value == pytest.approx(4 * 2.259265)


def test_checksums_are_those_of_tfrecord_files() -> None:
    # CRC-32C of "123456789" is 0xE3069283, the check value of its specification.
    value = 0xE3069283
    masked = ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert tensorboard._checksum(b"123456789") == struct.pack("<I", masked)


@pytest.mark.slow
def test_mlflow_finds_the_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for _ in range(2):  # again: nothing is there twice
        (path,) = formats.write(folder, ["mlflow"])
    client = mlflow.MlflowClient(tracking_uri=path.as_uri())
    experiment = client.get_experiment_by_name("r")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 10
    (run,) = (r for r in runs if r.info.run_name == "mobilenetv2 seed 0")
    assert run.data.params["backbone"] == "mobilenetv2"
    assert run.data.metrics["figures/size_mb"] == pytest.approx(4 * 2.259265)
    assert len(client.get_metric_history(run.info.run_id, "loss/train")) == 10


@pytest.mark.slow
def test_wandb_writes_offline_runs(folder: Path) -> None:
    pytest.importorskip("wandb")
    (path,) = formats.write(folder, ["wandb"])
    written = list(path.glob("offline-run-*/*.wandb"))
    assert len(written) == 10
    assert b"".join(file.read_bytes() for file in written).count(b"loss/train") >= 10
    # 3: one of the backbones failed. A link that leads out of the folder would be an error.
    assert main(["report", "r", "--results", str(folder.parent)]) == 3


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(
        UsageError, match=r"needs nosuchpackage: `pip install 'backbone-bench\[x\]'"
    ):
        formats.import_optional("nosuchpackage", "x")


@pytest.mark.slow
def test_names_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert formats.parse("pr, json,") == ["pr", "json"]
    with pytest.raises(UnknownNameError, match=r"unknown format 'jsn'\. Did you mean 'json'"):
        formats.parse("jsn")
    # 3: one of the backbones failed.
    assert main(["report", "r", "--results", str(folder.parent), "--format", "pr,timm"]) == 3
    out = capsys.readouterr().out
    assert f"wrote {folder / 'pull_request.md'}" in out
    assert (folder / "timm.csv").is_file()
