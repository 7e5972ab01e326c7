"""`choose`: which backbone is chosen under limits, and why the others are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import Net, answers, judged, make_run, write_records

from bench import reports as report
from bench.analysis.choice import Choice, Limits, choose
from bench.analysis.statistics import wilson
from bench.cli.main import main
from bench.errors import BenchError, UsageError
from bench.reports.blocks import Notes, Statement, Table
from bench.reports.choice import section
from bench.storage.arrays import artefact_folder, weights_path, write_arrays
from bench.storage.records import read_records, read_run
from bench.types import RuntimeResult

# Right on so many of 400 images, in order, so that who is wrong more is wrong on the same ones too.
RIGHT = {"sharp": 396, "keen": 394, "blunt": 360, "fast": 300, "lucky": 400}


def made(folder: Path, sharp_ms: float = 50) -> Path:
    """Sharp is 2 images of 400 ahead of keen, which is quicker: 0.5 points, up to 1.3. Blunt and
    fast are worse; lucky is the best of all, with random weights."""
    nets = [
        Net("sharp", latency_ms=sharp_ms, parameters=20_000_000),  # 80 MB
        Net("keen", latency_ms=20, parameters=5_000_000),  # 20 MB
        Net("blunt", latency_ms=10, parameters=2_500_000),  # 10 MB
        Net("fast", latency_ms=2, parameters=1_000_000),  # 4 MB
        Net("lucky", latency_ms=1, parameters=1_000, source="random init"),
        Net("dead", fails="out of memory"),
    ]
    make_run(folder, nets, images=400)
    for record in read_records(folder):
        if record.status == "ok":
            name = record.trial.backbone
            latency = {n.name: n.latency_ms for n in nets}[name] / 1000
            arrays = judged(
                answers(range(RIGHT[name], 400), 400),
                latency_keras_b1=np.full(64, latency),
                latency_keras_b8=np.full(3, 4 * latency),
            )
            write_arrays(folder, record.trial.key, arrays)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("choice") / "r")


def chosen(folder: Path, margin: float = 1.0, **limits: float | str) -> Choice:
    return choose(report.read(folder, margin=margin), Limits(**limits))  # type: ignore[arg-type]


def said(choice: Choice) -> Statement:
    statement = section(choice, "r").blocks[0]
    assert isinstance(statement, Statement)
    return statement


def reasons(choice: Choice) -> dict[str, list[str]]:
    return {c.backbone: [r.reason for r in c.refusals] for c in choice.refused}


@pytest.mark.slow
def test_the_fastest_within_the_margin_is_chosen(folder: Path) -> None:
    choice = chosen(folder)
    assert choice.pick is not None
    assert choice.pick.backbone == "sharp"  # keen may be 1.3 points behind
    choice = chosen(folder, margin=2.0)
    assert choice.pick is not None
    assert choice.pick.backbone == "keen"
    assert [(c.backbone, c.place) for c in choice.runners_up] == [
        ("sharp", "best"),
        ("blunt", "worse"),
        ("fast", "worse"),
    ]
    assert said(choice).certainty == (
        "Of all ranked backbones, sharp is the most accurate; keen is the cheapest of those shown "
        "to be within 2 points of it (by p50 latency)."
    )
    lead = choice.runners_up[0].lead
    assert lead is not None
    assert lead.value == pytest.approx(2 / 400)
    assert lead.may_be_chance
    assert choice.purchases == ()


def test_backbones_that_are_never_chosen(folder: Path) -> None:
    assert reasons(chosen(folder)) == {
        "lucky": ["no pretrained weights: its accuracy means nothing"],
        "dead": ["failed: out of memory"],
    }


def test_every_limit_that_is_missed_is_named(folder: Path) -> None:
    choice = chosen(folder, max_latency_ms=15, max_mb=5, min_accuracy=0.85)
    assert choice.pick is None
    assert reasons(choice)["sharp"] == [
        "50.0 ms latency, 35.0 ms above 15.0 ms",
        "80.0 MB size, 75.0 MB above 5.00 MB",
    ]
    assert reasons(choice)["fast"] == ["75.00% accuracy, 85.00% is required"]
    # Of all, blunt alone is kept out by a single upper limit.
    (purchase,) = choice.purchases
    assert (purchase.limit, purchase.candidate.backbone) == ("size", "blunt")
    assert (purchase.to, purchase.more) == (10.0, 5.0)


def test_a_pick_that_is_also_the_cheapest_says_so(tmp_path: Path) -> None:
    choice = chosen(made(tmp_path / "r", sharp_ms=1))
    assert said(choice).certainty == (
        "Of all ranked backbones, it is the most accurate, and the cheapest (by p50 latency)."
    )


def test_the_gain_of_a_higher_limit(folder: Path) -> None:
    choice = chosen(folder, max_latency_ms=12)
    assert choice.pick is not None
    assert choice.pick.backbone == "blunt"
    (purchase,) = choice.purchases
    # Keen, at 20 ms, is the least raise that buys accuracy; sharp, at 50, is no bargain.
    assert (purchase.limit, purchase.candidate.backbone) == ("latency", "keen")
    assert purchase.more == pytest.approx(8.0)
    assert purchase.candidate.lead is not None
    assert purchase.candidate.lead.value == pytest.approx(34 / 400)
    assert not purchase.candidate.lead.may_be_chance


def test_the_choice_in_words(folder: Path) -> None:
    choice = chosen(folder, max_latency_ms=12)
    assert said(choice) == Statement(
        "Take blunt: 90.00% accuracy (86.7–92.6%), 10.0 ms median latency, 10.0 MB.",
        "Of the backbones with at most 12.0 ms, it is the most accurate; no cheaper one is shown "
        "to be within 1 point of it.",
    )
    last = section(choice, "r").blocks[-1]
    assert isinstance(last, Notes)
    assert last.items == (
        (
            "",
            "8.00 ms more (20.0 ms): keen, 98.50% accuracy (96.8–99.3%), 20.0 ms median latency, "
            "20.0 MB; +8.50 points (+5.69 to +11.22) against the pick",
        ),
    )


@pytest.mark.slow
def test_runners_up_are_a_table(folder: Path) -> None:
    choice = chosen(folder, margin=2.0)
    (table,) = (b for b in section(choice, "r").blocks if isinstance(b, Table))
    titles = [column.title for column in table.columns]
    assert titles[1:4] == ["Accuracy", "Median latency", "Size"]  # no runtime was named
    sharp = dict(zip(titles, table.texts[0], strict=True))
    assert (sharp["Backbone"], sharp["Against the pick"]) == ("sharp", "+0.50")
    assert sharp["Significance"] == "no significant difference"


def converted(folder: Path, right: dict[str, int], *, runtime: str = "small_int8") -> Path:
    """The run of `made`, whose models were converted, too: each is right on so many of 400 images
    once converted, or stored no answers where that is -1; the others did not convert."""
    make = RuntimeResult(runtime, (1,), artefact=f"{runtime}.tflite", artefact_bytes=7_000_000)
    broken = RuntimeResult(runtime, status="failed", reason="no such operation")
    records = []
    for evidence in read_run(folder).evidence:
        record = evidence.record
        if record.status == "ok":
            count = right.get(record.trial.backbone)
            result = broken if count is None else make
            record = replace(record, runtimes=(*record.runtimes, result))
            more = {f"latency_{runtime}_b1": np.full(64, 0.003)}
            if count is not None and count >= 0:
                more[f"probabilities_{runtime}"] = answers(range(count, 400), 400)
            write_arrays(folder, record.trial.key, {**evidence.arrays, **more})
        records.append(record)
    write_records(folder, records)
    return folder


@pytest.mark.slow
def test_a_runtime_is_chosen_by_its_own_accuracy_latency_and_size(tmp_path: Path) -> None:
    # Sharp is the best in Keras, with 99%, and hardly right once converted; blunt keeps its 90%.
    folder = converted(made(tmp_path / "r"), {"sharp": 220, "blunt": 360, "fast": -1})
    assert chosen(folder).pick.backbone == "sharp"  # type: ignore[union-attr]
    choice = chosen(folder, runtime="small_int8", max_mb=8)
    pick = choice.pick
    assert pick is not None
    assert (pick.backbone, pick.latency_ms, pick.size_mb) == ("blunt", 3.0, 7.0)
    assert (pick.accuracy, pick.keras_accuracy, pick.seed) == (0.9, 0.9, 0)
    assert (pick.low, pick.high) == wilson(360, 400)
    (sharp,) = choice.runners_up
    assert (sharp.accuracy, sharp.keras_accuracy, sharp.place) == (0.55, 0.99, "worse")
    assert sharp.lead is not None
    assert sharp.lead.value == pytest.approx(-0.35)
    assert not sharp.lead.may_be_chance
    assert reasons(choice)["keen"] == ["it does not run on small_int8: no such operation"]
    assert reasons(choice)["fast"] == [
        "its accuracy on small_int8 is not known: its test predictions are "
        "not stored, or not usable"
    ]
    statement = said(choice)
    assert statement.sentence == (
        "Take blunt: 90.00% accuracy (86.7–92.6%), 90.00% in Keras, 3.00 ms median latency, "
        "7.00 MB."
    )
    assert "All figures are from small_int8, with one trained model" in statement.certainty
    assert chosen(folder, runtime="small_int8", min_accuracy=0.95).pick is None


def test_nan_predictions_have_no_accuracy(tmp_path: Path) -> None:
    folder = converted(made(tmp_path / "r"), {"sharp": 396, "blunt": 360})
    (sharp,) = (e for e in read_run(folder).evidence if e.record.trial.backbone == "sharp")
    nan = np.full((400, 2), np.nan)
    arrays = {**sharp.arrays, "probabilities_small_int8": nan}
    write_arrays(folder, sharp.record.trial.key, arrays)
    choice = chosen(folder, runtime="small_int8")
    assert choice.pick is not None
    assert choice.pick.backbone == "blunt"
    assert "is not known" in reasons(choice)["sharp"][0]
    (row,) = (
        row
        for row in report.read(folder).runtimes
        if (row.label, row.runtime) == ("sharp", "small_int8")
    )
    assert (row.accuracy, row.agreement, row.largest_difference) == (None, None, None)


def test_the_figures_of_a_runtime_are_those_of_the_seed_that_it_ran(tmp_path: Path) -> None:
    """The mean over three seeds is never compared with one seed's converted model."""
    nets = [Net("one"), Net("two", 2.0)]
    folder = make_run(tmp_path / "r", nets, seeds=(0, 1, 2), images=400)
    found = []
    for evidence in read_run(folder).evidence:
        record, arrays = evidence.record, dict(evidence.arrays)
        result = RuntimeResult("onnx", (1,), artefact="model.onnx", artefact_bytes=9_000_000)
        record = replace(record, runtimes=(*record.runtimes, result))
        if record.trial.seed == 1:
            arrays["probabilities_onnx"] = arrays["test_probabilities"]
        else:
            record = replace(record, notes=("timed with seed 1, which stands for all its seeds",))
        arrays["latency_onnx_b1"] = np.full(64, 0.001)
        write_arrays(folder, record.trial.key, arrays)
        found.append(record)
    write_records(folder, found)
    findings = report.read(folder)
    choice = choose(findings, Limits(runtime="onnx"))
    assert choice.pick is not None
    trials = findings.trials.set_index(["label", "seed"])["accuracy"]
    assert choice.pick.seed == 1
    assert choice.pick.accuracy == choice.pick.keras_accuracy == trials[choice.pick.label, 1]
    (other,) = choice.runners_up
    assert other.accuracy == trials[other.label, 1]


def test_the_reference_named_is_the_same_as_none(folder: Path) -> None:
    named, unnamed = chosen(folder, runtime="keras"), chosen(folder)
    assert named.pick == unnamed.pick
    assert named.runners_up == unnamed.runners_up


@pytest.mark.slow
def test_the_hints_name_the_chosen_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "r")
    for runtime in ("litert", "litert_int8"):
        converted(folder, {"blunt": 360}, runtime=runtime)
    words = ["choose", "r", "--results", str(tmp_path), "--runtime"]
    assert main([*words, "litert"]) == 0
    assert "as a file" not in capsys.readouterr().out  # no weights were kept to export
    (blunt,) = (r for r in read_records(folder) if r.trial.backbone == "blunt")
    weights = weights_path(folder, blunt.trial.key)
    weights.parent.mkdir()
    weights.touch()
    assert main([*words, "litert"]) == 0
    out = capsys.readouterr().out
    where = f"--results {tmp_path}"  # they work as they are printed
    assert f"export r blunt {where} --format litert\n" in out
    assert (
        f"predict r blunt photos/ {where} (through Keras, not litert: other probabilities)\n" in out
    )
    assert main([*words, "litert_int8"]) == 0
    out = capsys.readouterr().out
    assert "The litert_int8 file was not kept: `run` keeps it with --keep-artefacts.\n" in out
    assert "export" not in out
    file = artefact_folder(folder, blunt.trial) / "litert_int8.tflite"
    file.parent.mkdir(parents=True)
    file.touch()
    assert main([*words, "litert_int8"]) == 0
    assert f"as a file: {file}\n" in capsys.readouterr().out


def test_an_unknown_runtime_lists_the_known(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"not timed with runtime 'litert'\. Known: keras"):
        chosen(folder, runtime="litert")


def test_trials_that_cannot_be_ranked_cannot_be_chosen(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    first, *others = read_records(folder)
    trial = replace(first.trial, protocol_digest="other")
    write_records(folder, [replace(first, trial=trial), *others])
    with pytest.raises(BenchError, match="Nothing is ranked: the trials differ in protocol_digest"):
        chosen(folder)


@pytest.mark.slow
def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["choose", "r", "--results", str(folder.parent)]
    assert main([*words, "--max-latency-ms", "12"]) == 0
    assert capsys.readouterr().out.startswith("Take blunt: 90.00% accuracy")
    assert main([*words, "--max-mb", "1"]) == 4
    assert "No backbone of r meets the limits: at most 1.00 MB." in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pick"]["backbone"] == "sharp"
    assert main([*words, "--min-accuracy", "95"]) == 2
    assert "must be a fraction from 0 to 1; got '95'" in capsys.readouterr().err
