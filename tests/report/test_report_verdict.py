"""The verdict: who takes part, who ties, what the sentence says, and when there is none."""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from synthetic import Net, make_run

from bench import report
from bench.commands import report_command
from bench.records import load_run, read_records, write_arrays, write_records
from bench.report.findings import Findings, find
from bench.types import Record


def made(
    folder: Path,
    wrong: dict[str, list[list[int]]],
    *,
    images: int = 100,
    source: str = "imagenet",
) -> Findings:
    """A run in which each backbone gets the listed images wrong, a list a seed."""
    nets = [
        Net(name, latency_ms=10.0 * (index + 1), source=source) for index, name in enumerate(wrong)
    ]
    seeds = tuple(range(len(next(iter(wrong.values())))))
    make_run(folder, nets, seeds=seeds, images=images, queries=64)
    for record in read_records(folder):
        write(folder, record, wrong[record.trial.backbone][record.trial.seed], images)
    return find(load_run(folder))


def report_again(folder: Path) -> int:
    """The exit code of `report` on the run in `folder`."""
    asked = {"results": folder.parent / "results", "run": str(folder), "price_per_hour": None}
    asked |= {"latex": False, "format": "", "open": False}
    return report_command.main(argparse.Namespace(**asked))


def write(folder: Path, record: Record, wrong: list[int], images: int) -> None:
    labels = np.arange(images) % 2
    said = labels.copy()
    said[wrong] = 1 - said[wrong]
    probabilities = np.where(np.eye(2)[said] == 1, 0.9, 0.1)
    arrays = {
        "test_labels": labels,
        "test_probabilities": probabilities,
        "validation_labels": labels,
        "validation_probabilities": probabilities,
        "latency_keras_b1": np.full(64, 0.01 if record.trial.backbone == "a" else 0.005),
    }
    write_arrays(folder, record.trial.key, arrays)


def test_ten_against_two_is_told_apart(tmp_path: Path) -> None:
    # Ten images that only a gets right, two that only b does: p = 2 * 79 / 4096 = 0.0386.
    verdict = made(tmp_path, {"a": [[0, 1]], "b": [list(range(2, 12))]}).verdict
    assert verdict.best == "a"
    assert verdict.tied == ()
    (pair,) = verdict.pairs
    assert pair.p == pair.adjusted == pytest.approx(158 / 4096)
    assert pair.differ
    assert pair.difference == pytest.approx(0.08)
    assert [s.ties for s in verdict.standings] == ["a", "b"]
    assert verdict.sentence == (
        "a is the best, with 98.00% (93.0–99.4%): it can be told apart from b."
    )
    assert "McNemar's exact test on 100 test images and one seed, at 5%." in verdict.certainty


def test_nine_against_two_is_a_tie_and_the_cheaper_one_is_named(tmp_path: Path) -> None:
    # p = 2 * (1 + 11 + 55) / 2048 = 0.0654; b answers in 5 ms, a in 10.
    verdict = made(tmp_path, {"a": [[0, 1]], "b": [list(range(2, 11))]}).verdict
    assert verdict.pairs[0].p == pytest.approx(134 / 2048)
    assert (verdict.best, verdict.tied, verdict.cheapest) == ("a", ("b",), "b")
    assert verdict.cheapest_by == "p50 latency"
    assert [s.ties for s in verdict.standings] == ["a", "a"]
    assert verdict.sentence == (
        "a comes first with 98.00% (93.0–99.4%), but b cannot be told apart from it; "
        "the cheapest of them is b (5.00 ms at p50)."
    )


def test_ties_do_not_carry_over(tmp_path: Path) -> None:
    # Each loses six more than the one before: p = 1/32 a step and 1/2048 over two. Holm asks
    # 1/2048 * 3, then 1/32 * 2 = 0.0625: only the ends differ.
    wrong = {"a": [[]], "b": [list(range(6))], "c": [list(range(12))]}
    verdict = made(tmp_path, wrong).verdict
    assert [s.ties for s in verdict.standings] == ["a", "ab", "b"]
    assert verdict.tied == ("b",)
    assert [p.adjusted for p in verdict.pairs] == pytest.approx([1 / 16, 3 / 2048, 1 / 16])
    assert sum(s.first or 0 for s in verdict.standings) == pytest.approx(1)


def test_only_the_seeds_that_all_have_are_compared(tmp_path: Path) -> None:
    found = made(tmp_path, {"a": [[0], [1], [2]], "b": [[3], [4], [5]]})
    records = [r for r in found.run.records if (r.trial.backbone, r.trial.seed) != ("b", 1)]
    write_records(tmp_path, records)
    verdict = find(load_run(tmp_path)).verdict
    assert verdict.seeds == (0, 2)
    assert "Compared on the 2 of 3 seeds that all of them finished." in verdict.certainty
    assert "Two seeds show too little" in verdict.certainty


def test_without_a_shared_seed_nothing_is_compared(tmp_path: Path) -> None:
    found = made(tmp_path, {"a": [[0], [1]], "b": [[3], [4]]})
    kept = [r for r in found.run.records if (r.trial.backbone == "a") == (r.trial.seed == 0)]
    write_records(tmp_path, kept)
    verdict = find(load_run(tmp_path)).verdict
    assert verdict.best is None
    assert "share no seed" in verdict.sentence


def test_one_alone_is_said_to_be_alone(tmp_path: Path) -> None:
    verdict = made(tmp_path, {"a": [[0, 1]]}).verdict
    assert verdict.best == "a"
    assert verdict.pairs == ()
    assert "the only pretrained backbone that finished (98.00%)" in verdict.sentence


def test_random_weights_take_no_part(tmp_path: Path) -> None:
    verdict = made(tmp_path, {"a": [[0]], "b": [[1]]}, source="random init").verdict
    assert (verdict.best, verdict.standings, verdict.pairs) == (None, (), ())
    assert "No pretrained backbone finished" in verdict.sentence


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("dataset_fingerprint", {"dataset_fingerprint": "f" * 64}),
        ("protocol_digest", {"protocol": "two-step", "protocol_digest": "e" * 64}),
    ],
)
def test_trials_of_another_kind_are_not_ranked(
    tmp_path: Path, field: str, change: dict[str, str]
) -> None:
    found = made(tmp_path, {"a": [[0]], "b": [[1]]})
    first, second = found.run.records
    write_records(
        tmp_path,
        [first, replace(second, trial=replace(second.trial, **change))],  # type: ignore[arg-type]
    )
    found = find(load_run(tmp_path))
    assert found.trials["rank"].isna().all()
    assert found.backbones["rank"].isna().all()
    assert found.verdict.best is None
    assert report_again(tmp_path) == 3
    assert found.verdict.sentence.startswith(f"Nothing is ranked: the trials differ in {field} (")
    assert "for a; " in found.verdict.sentence


def test_trials_on_other_test_images_are_not_ranked(tmp_path: Path) -> None:
    found = made(tmp_path, {"a": [[0]], "b": [[1]]})
    write(tmp_path, found.run.records[1], [1], 98)
    found = find(load_run(tmp_path))
    assert found.trials["rank"].isna().all()
    assert "differ in test_labels (100 images" in found.verdict.sentence


def test_several_seeds_widen_the_interval(tmp_path: Path) -> None:
    """Seeds far apart say that another seed may be as far: nothing is known from two of them."""
    alike = made(tmp_path / "alike", {"a": [[0, 1], [0, 1]]})
    apart = made(tmp_path / "apart", {"a": [[], list(range(4))]})
    close, far = alike.backbones.iloc[0], apart.backbones.iloc[0]
    assert close["accuracy"] == far["accuracy"] == pytest.approx(0.98)
    # Two seeds that answer alike are worth one: Wilson for 98 of 100.
    assert (close["accuracy_low"], close["accuracy_high"]) == pytest.approx(
        (0.9300, 0.9945), abs=1e-4
    )
    assert far["accuracy_low"] < 0.85


def test_report_and_terminal_open_with_the_verdict(tmp_path: Path) -> None:
    found = made(tmp_path, {"a": [[0, 1]], "b": [list(range(2, 12))]})
    report.render(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text.splitlines()[2] == f"**{found.verdict.sentence}**"
    # Agresti and Min: 10.5 images won and 2.5 lost of 102, so 8/102 +- 1.96 * 0.0345.
    assert "**+8.00 (+1.1 to +14.6), p 0.039**" in text
    stored = json.loads((tmp_path / "verdict.json").read_text(encoding="utf-8"))
    assert (stored["best"], stored["cheapest"], stored["pairs"][0]["differ"]) == ("a", "a", True)
    out = io.StringIO()
    report.show(report.read(tmp_path), Console(file=out, width=200))
    assert out.getvalue().splitlines()[0].strip() == found.verdict.sentence
    assert "Ties  P(first)" in out.getvalue()


def test_what_must_not_be_ranked_is_not_averaged(tmp_path: Path) -> None:
    found = made(tmp_path, {"a": [[0], [1]]})
    first, second = found.run.records
    write_records(
        tmp_path, [first, replace(second, trial=replace(second.trial, protocol_digest="e"))]
    )
    found = find(load_run(tmp_path))
    assert len(found.table) == 2
    assert "a; default e for a" in found.verdict.sentence
