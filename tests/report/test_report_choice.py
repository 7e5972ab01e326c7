"""Which backbone is taken under limits, and why the others are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import Net, make_run

from bench import report
from bench.cli import main
from bench.errors import BenchError, UsageError
from bench.records import load_run, read_records, write_arrays, write_records
from bench.report.choice import Choice, Limits, choose
from bench.report.choice_text import lines
from bench.types import RuntimeResult

# Right on so many of 400 images, in order, so that who is wrong more is wrong on the same ones too.
RIGHT = {"sharp": 396, "keen": 394, "blunt": 360, "fast": 300, "lucky": 400}


def made(folder: Path) -> Path:
    """Sharp is 2 images of 400 ahead of keen, which is quicker: 0.5 points, up to 1.3. Blunt and
    fast are worse; lucky is the best of all, with random weights."""
    nets = [
        Net("sharp", latency_ms=50, parameters=20_000_000),  # 80 MB
        Net("keen", latency_ms=20, parameters=5_000_000),  # 20 MB
        Net("blunt", latency_ms=10, parameters=2_500_000),  # 10 MB
        Net("fast", latency_ms=2, parameters=1_000_000),  # 4 MB
        Net("lucky", latency_ms=1, parameters=1_000, source="random init"),
        Net("dead", fails="out of memory"),
    ]
    make_run(folder, nets, images=400)
    labels = np.arange(400) % 2
    for record in read_records(folder):
        if record.status == "ok":
            name = record.trial.backbone
            guesses = np.where(np.arange(400) < RIGHT[name], labels, 1 - labels)
            probabilities = np.where(np.eye(2)[guesses] == 1, 0.9, 0.1)
            latency = {n.name: n.latency_ms for n in nets}[name] / 1000
            arrays = {
                "test_labels": labels,
                "test_probabilities": probabilities,
                "validation_labels": labels,
                "validation_probabilities": probabilities,
                "latency_keras_b1": np.full(64, latency),
                "latency_keras_b8": np.full(3, 4 * latency),
            }
            write_arrays(folder, record.trial.key, arrays)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("choice") / "r")


def chosen(folder: Path, margin: float = 1.0, **limits: float | str) -> Choice:
    return choose(report.read(folder, margin=margin), Limits(**limits))  # type: ignore[arg-type]


def reasons(choice: Choice) -> dict[str, list[str]]:
    return {c.backbone: [r.reason for r in c.refusals] for c in choice.refused}


def test_of_what_is_shown_to_be_within_the_margin_the_quickest_is_taken(folder: Path) -> None:
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
    assert list(lines(choice, "r"))[1] == (
        "Of all that are ranked, sharp is the most accurate; this one is shown to be within 2 "
        "points of it, and is the cheapest that is (by p50 latency)."
    )
    lead = choice.runners_up[0].lead
    assert lead is not None
    assert lead.value == pytest.approx(2 / 400)
    assert lead.may_be_chance
    assert choice.purchases == ()


def test_who_is_never_taken(folder: Path) -> None:
    assert reasons(chosen(folder)) == {
        "lucky": ["random init: its accuracy means nothing"],
        "dead": ["failed: out of memory"],
    }


def test_every_limit_that_is_missed_is_named(folder: Path) -> None:
    choice = chosen(folder, max_latency_ms=15, max_mb=5, min_accuracy=0.85)
    assert choice.pick is None
    assert reasons(choice)["sharp"] == [
        "50.0 ms latency, 35.0 ms above 15.0 ms",
        "80.0 MB size, 75.0 MB above 5.00 MB",
    ]
    assert reasons(choice)["fast"] == ["75.00% accuracy, 85.00% is asked for"]
    # Of all, blunt alone is kept out by a single upper limit.
    (purchase,) = choice.purchases
    assert (purchase.limit, purchase.candidate.backbone) == ("size", "blunt")
    assert (purchase.to, purchase.more) == (10.0, 5.0)


def test_what_one_more_millisecond_would_buy(folder: Path) -> None:
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


def test_in_words(folder: Path) -> None:
    text = list(lines(chosen(folder, max_latency_ms=12), "r"))
    assert text[0] == (
        "[bold]Take blunt[/bold]: 90.00% accuracy (86.7–92.6%), 10.0 ms median latency, 10.0 MB."
    )
    assert (
        text[1]
        == "Of those with at most 12.0 ms, it is the most accurate; no cheaper one is shown to be "
        "within 1 point of it."
    )
    assert text[-1] == (
        "  8.00 ms more (20.0 ms): keen, 98.50% accuracy (96.8–99.3%), 20.0 ms median latency, "
        "20.0 MB; +8.50 points (+5.69 to +11.22) against the pick"
    )


def test_a_runtime_has_its_own_latency_size_and_accuracy(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    records = list(read_records(folder))
    (index,) = (i for i, r in enumerate(records) if r.trial.backbone == "sharp")
    sharp = records[index]
    small = RuntimeResult("small_int8", (1,), artefact="small.tflite", artefact_bytes=7_000_000)
    broken = RuntimeResult("small_int8", status="failed", reason="no such operation")
    for i, record in enumerate(records):
        records[i] = replace(record, runtimes=(*record.runtimes, small if i == index else broken))
    write_records(folder, records)
    (evidence,) = (e for e in load_run(folder).evidence if e.record.trial.key == sharp.trial.key)
    labels = evidence.arrays["test_labels"]
    half = np.eye(2)[np.where(np.arange(400) < 200, labels, 1 - labels)]
    more = {"latency_small_int8_b1": np.full(64, 0.003), "probabilities_small_int8": half}
    write_arrays(folder, sharp.trial.key, {**evidence.arrays, **more})
    choice = chosen(folder, runtime="small_int8", max_mb=8)
    assert choice.pick is not None
    found = choice.pick
    assert (found.backbone, found.latency_ms, found.size_mb) == ("sharp", 3.0, 7.0)
    assert found.converted_accuracy == 0.5
    assert reasons(choice)["keen"] == ["it does not run on small_int8: no such operation"]
    assert chosen(folder, runtime="small_int8", min_accuracy=0.9).pick is None


def test_an_unknown_runtime_lists_the_known(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"not timed with runtime 'litert'\. Known: keras"):
        chosen(folder, runtime="litert")


def test_what_may_not_be_ranked_is_not_chosen_from(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    first, *others = read_records(folder)
    trial = replace(first.trial, protocol_digest="other")
    write_records(folder, [replace(first, trial=trial), *others])
    with pytest.raises(BenchError, match="Nothing is ranked: the trials differ in protocol_digest"):
        chosen(folder)


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["choose", "r", "--results", str(folder.parent)]
    assert main([*words, "--max-latency-ms", "12"]) == 0
    assert capsys.readouterr().out.startswith("Take blunt: 90.00% accuracy")
    assert main([*words, "--max-mb", "1"]) == 4
    assert "No backbone of r keeps to at most 1.00 MB." in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pick"]["backbone"] == "sharp"
    with pytest.raises(SystemExit):
        main([*words, "--min-accuracy", "95"])
    assert "must be a share from 0 to 1; got '95'" in capsys.readouterr().err
