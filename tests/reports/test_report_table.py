"""The leaderboard: which backbones are ranked, in which order, and what is averaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import SIX, Net, answers, judged, make_run, write_records

from bench.analysis.findings import analyse_run
from bench.analysis.table import ARRAYS_MISSING
from bench.storage.arrays import write_arrays
from bench.storage.records import StoredRun, read_records, read_run

REQUIRED = [
    *("backbone", "status", "weights", "input_size", "seed"),
    *("accuracy", "loss", "val_accuracy", "train_seconds", "latency_p50_ms", "latency_p90_ms"),
    *("throughput_images_per_second", "params"),
]


def answer(run: StoredRun, backbone: str, seed: int, right: int, certainty: float) -> None:
    """Store test predictions of which `right` are correct."""
    record = next(r for r in run.records if (r.trial.backbone, r.trial.seed) == (backbone, seed))
    images = len(run.dataset.splits["test"])
    arrays = judged(answers(range(right, images), images, certainty))
    write_arrays(run.folder, record.trial.key, arrays)


def test_the_required_columns_come_first(tmp_path: Path) -> None:
    table = analyse_run(read_run(make_run(tmp_path))).trials
    assert list(table.columns)[: len(REQUIRED)] == REQUIRED


def test_ranked_then_random_then_failed(tmp_path: Path) -> None:
    table = analyse_run(read_run(make_run(tmp_path))).trials
    assert table["rank"].tolist()[:3] == [1, 2, 3]
    assert table["rank"].isna().tolist() == [False] * 3 + [True] * 3
    assert table["weights"].tolist()[3:5] == ["random init"] * 2
    assert table["label"].tolist()[3] == "efficientnetb0 (random init)"
    assert table["status"].tolist()[5] == "failed"
    assert table["reason"].tolist()[5].startswith("'from layer 100'")


def test_figures_by_label_are_in_the_order_of_the_table(tmp_path: Path) -> None:
    found = analyse_run(read_run(make_run(tmp_path, [Net("worse", 2.5), Net("better")])))
    assert found.backbones["label"].tolist() == ["better", "worse"]
    assert list(found.confusions) == list(found.scaled_bin_sums) == ["better", "worse"]


def test_accuracy_ranks_and_loss_breaks_ties(tmp_path: Path) -> None:
    nets = [Net("a"), Net("b"), Net("c"), Net("d", source="random init")]
    run = read_run(make_run(tmp_path, nets, images=10))
    answer(run, "a", 0, right=9, certainty=0.8)
    answer(run, "b", 0, right=9, certainty=0.9)
    answer(run, "c", 0, right=8, certainty=0.9)
    answer(run, "d", 0, right=10, certainty=0.9)
    table = analyse_run(run).trials
    # loss of a: -(9 ln 0.8 + ln 0.2) / 10 = 0.362; of b: -(9 ln 0.9 + ln 0.1) / 10 = 0.325
    assert table["loss"].tolist()[:2] == pytest.approx([0.325, 0.362], abs=5e-4)
    assert table["backbone"].tolist() == ["b", "a", "c", "d"]
    assert table["rank"].tolist()[:3] == [1, 2, 3]


def test_seeds_are_averaged(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path, [Net("a"), Net("b")], seeds=(0, 1), images=10))
    answer(run, "a", 0, right=8, certainty=0.9)
    answer(run, "a", 1, right=10, certainty=0.9)
    answer(run, "b", 0, right=9, certainty=0.9)
    answer(run, "b", 1, right=10, certainty=0.9)
    table = analyse_run(run).backbones.set_index("label")
    assert table.index.tolist() == ["b", "a"]
    assert table.loc["a", "accuracy"] == pytest.approx(0.9)
    # Two values 0.2 apart: sqrt(0.1² + 0.1²) over 2 - 1.
    assert table.loc["a", "accuracy_std"] == pytest.approx(0.02**0.5)
    assert table.loc["a", "seeds"] == 2
    # From 80 to 100% within two seeds: what a third would give is as good as unknown.
    assert table["accuracy_low"]["a"] < 0.3
    assert table["accuracy_high"]["a"] > 0.99


def test_one_seed_has_no_deviation(tmp_path: Path) -> None:
    table = analyse_run(read_run(make_run(tmp_path))).backbones
    assert table["accuracy_std"].isna().all()


def test_a_seed_that_failed_does_not_hide_the_others(tmp_path: Path) -> None:
    net = replace(SIX[0], fails="out of memory", fails_seeds=(1,))
    table = analyse_run(read_run(make_run(tmp_path, [net], seeds=(0, 1, 2)))).backbones
    assert table[["status", "seeds", "failed", "rank"]].values.tolist() == [["ok", 2, 1, 1]]
    assert table["reason"].tolist() == ["out of memory"]


def test_random_and_pretrained_seeds_are_not_mixed(tmp_path: Path) -> None:
    folder = make_run(tmp_path, [Net("a")], seeds=(0, 1))
    first, second = read_records(folder)
    assert second.weights is not None
    drawn = replace(second, weights=replace(second.weights, source="random init"))
    write_records(folder, [first, drawn])
    table = analyse_run(read_run(folder)).backbones
    assert table["label"].tolist() == ["a", "a (random init)"]
    assert table["seeds"].tolist() == [1, 1]
    assert table["rank"].isna().tolist() == [False, True]


def test_two_input_sizes_are_not_mixed(tmp_path: Path) -> None:
    folder = make_run(tmp_path, [Net("a")], seeds=(0, 1))
    first, second = read_records(folder)
    write_records(folder, [first, replace(second, trial=replace(second.trial, input_size=96))])
    assert sorted(analyse_run(read_run(folder)).backbones["label"]) == ["a@224", "a@96"]


def test_a_trial_without_its_arrays_is_shown_and_not_ranked(tmp_path: Path) -> None:
    folder = make_run(tmp_path, SIX[:2])
    run = read_run(folder)
    (folder / "arrays" / f"{run.records[1].trial.key}.npz").unlink()
    table = analyse_run(run).trials
    assert table["backbone"].tolist() == ["mobilenetv2", "resnet50"]
    assert table["rank"].isna().tolist() == [False, True]
    assert table["reason"].tolist() == ["", ARRAYS_MISSING]


def test_an_empty_run_has_an_empty_table(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path, []))
    assert list(analyse_run(run).trials.columns)[:13] == REQUIRED
    assert len(analyse_run(run).trials) == len(analyse_run(run).backbones) == 0
