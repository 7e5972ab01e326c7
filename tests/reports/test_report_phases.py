"""Whether fine-tuning helped, on few images that can be counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import Net, answers, judged, make_run, write_records

from bench import reports as report
from bench.analysis.findings import Findings, analyse_run
from bench.analysis.gains import phase_outcomes
from bench.storage.arrays import write_arrays
from bench.storage.records import read_records, read_run
from bench.types import Epoch, Validation


def made(
    folder: Path, before: list[int], after: list[int], *, source: str = "imagenet"
) -> Findings:
    """A run of one backbone that gets these of 100 images wrong after each of its two phases."""
    make_run(folder, [Net("a", source=source)], images=100)
    after_each = [answers(wrong, 100) for wrong in (before, after)]
    arrays = judged(after_each[-1], phase_test_probabilities=np.stack(after_each))
    for record in read_records(folder):
        write_arrays(folder, record.trial.key, arrays)
    return analyse_run(read_run(folder))


def test_ten_images_won_and_none_lost_helped(tmp_path: Path) -> None:
    head, tuned = phase_outcomes(made(tmp_path, list(range(10)), []))
    assert (head.phase, head.accuracy, head.gain) == ("head", 0.9, None)
    assert tuned.accuracy == 1
    assert tuned.gain is not None
    assert tuned.gain.change == pytest.approx(0.1)
    # Agresti and Min: 10.5 of 102 won and 0.5 of 102 lost, so 10/102 ± 1.96 sqrt((11/102 -
    # (10/102)²) / 102) = 0.098 ± 0.0608.
    assert (tuned.gain.low, tuned.gain.high) == pytest.approx((0.0372, 0.1589), abs=1e-4)
    assert tuned.gain.word == "helped"


def test_ten_images_lost_hurt(tmp_path: Path) -> None:
    _, tuned = phase_outcomes(made(tmp_path, [], list(range(10))))
    assert tuned.gain is not None
    assert tuned.gain.word == "hurt"


def test_as_many_lost_as_won_is_undecided(tmp_path: Path) -> None:
    found = made(tmp_path, list(range(5)), list(range(5, 10)))
    _, tuned = phase_outcomes(found)
    assert tuned.gain is not None
    assert tuned.gain.change == 0
    assert tuned.gain.word == "not significant"
    row = analyse_run(found.run).trials.iloc[0]
    assert row["last_phase_change"] == 0
    assert row["last_phase_low"] == pytest.approx(-row["last_phase_high"])
    assert row["last_phase_low"] == pytest.approx(tuned.gain.low)


def test_training_and_validation_figures_of_the_best_and_last_epoch(tmp_path: Path) -> None:
    found = made(tmp_path, [0], [1])
    tuned = phase_outcomes(found)[1]
    phase = found.run.records[0].phases[1]
    assert tuned.best is not None
    assert tuned.last is not None
    assert tuned.best.val_loss == phase.epochs[phase.best_epoch - 1].val_loss
    assert tuned.last.accuracy == phase.epochs[-1].accuracy
    row = analyse_run(found.run).trials.iloc[0]
    assert row["last_epoch_train"] == phase.epochs[-1].accuracy
    assert row["best_epoch_val"] == phase.epochs[phase.best_epoch - 1].val_accuracy


def test_a_seed_that_kept_the_weights_from_before_counts_in_the_best_figures(
    tmp_path: Path,
) -> None:
    make_run(tmp_path, [Net("a")], seeds=(0, 1), images=10)
    one, two = read_records(tmp_path)
    tuned = replace(one.phases[1], epochs=(Epoch(1.0, 0.9, 0.5, 0.7, 1.0),))
    improved = replace(tuned, best_epoch=1)
    unchanged = replace(tuned, best_epoch=0, start=Validation(0.1, 0.9))
    one = replace(one, phases=(one.phases[0], improved))
    write_records(tmp_path, [one, replace(two, phases=(two.phases[0], unchanged))])
    best = phase_outcomes(analyse_run(read_run(tmp_path)))[1].best
    assert best is not None
    assert (best.val_loss, best.val_accuracy) == pytest.approx((0.3, 0.8))
    assert best.accuracy is None  # that seed has no training figure


def test_random_weights_are_not_in_the_table_of_phases(tmp_path: Path) -> None:
    assert phase_outcomes(made(tmp_path, [0], [1], source="random init")) == []


def test_records_without_predictions_after_each_phase_still_render(tmp_path: Path) -> None:
    folder = make_run(tmp_path, [Net("a")], images=10)
    (record,) = read_records(folder)
    labels = np.arange(10) % 2
    write_arrays(
        folder, record.trial.key, {"test_labels": labels, "test_probabilities": np.eye(2)[labels]}
    )
    head, tuned = phase_outcomes(analyse_run(read_run(folder)))
    assert (head.accuracy, tuned.accuracy, tuned.gain) == (None, None, None)
    report.render(folder)
    assert "## Phases" in (folder / "report.md").read_text(encoding="utf-8")
