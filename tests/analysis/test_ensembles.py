"""Ensembles of stored probabilities: chosen on the validation images, judged on the test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import log
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic import Net, make_run

from bench.analysis.ensembles import Ensembles
from bench.analysis.findings import Findings, analyse_run
from bench.reports import csv
from bench.reports.blocks import Commands
from bench.reports.sections import ensembles as page
from bench.reports.sections import next_steps
from bench.storage.arrays import weights_path, write_arrays
from bench.storage.records import read_run
from bench.system.files import write_atomic

IMAGES = 100
UNSURE = 0.4  # of the true class, of two: wrong, but not by much


def true_class(wrong: Sequence[int], value: float = UNSURE) -> NDArray[np.float64]:
    """Return a network's probability of the true class: 0.9, but not of the `wrong` images."""
    found = np.full(IMAGES, 0.9)
    found[list(wrong)] = value
    return found


def analysed(
    folder: Path,
    validation: Mapping[str, NDArray[np.float64]],
    test: Mapping[str, NDArray[np.float64]] | None = None,
    seeds: Sequence[int] = (0,),
) -> Findings:
    """Return a run of backbones of 10 ms and a million parameters, with these probabilities."""
    nets = [Net(name, latency_ms=10, parameters=1_000_000) for name in validation]
    make_run(folder, nets, images=IMAGES, seeds=seeds)
    truth = np.arange(IMAGES) % 2
    for record in read_run(folder).records:
        arrays = {"latency_keras_b1": np.full(100, 0.010)}
        for split, given in (("validation", validation), ("test", test or validation)):
            right = given[record.trial.backbone][:, None]
            arrays[f"{split}_labels"] = truth
            arrays[f"{split}_probabilities"] = np.where(np.eye(2)[truth] == 1, right, 1 - right)
        write_arrays(folder, record.trial.key, arrays)
    return analyse_run(read_run(folder))


def found_in(findings: Findings) -> Ensembles:
    assert findings.ensembles is not None
    return findings.ensembles


def test_two_that_err_on_different_images_are_correct_together(tmp_path: Path) -> None:
    true_probabilities = {"a": true_class(range(10)), "b": true_class(range(10, 22))}
    findings = analysed(tmp_path / "r", true_probabilities, seeds=(0, 1))
    found = found_in(findings)
    (both,) = found.shown
    assert found.chosen == both
    assert both.label == "a + b"
    # Where one says 0.9 and the other 0.4, the mean is 0.65.
    assert both.val_loss == pytest.approx(-(78 * log(0.9) + 22 * log(0.65)) / 100)
    assert both.latency_ms == pytest.approx(20)
    assert both.params == 2_000_000
    assert both.held_out is not None
    assert both.held_out.accuracy == 1.0
    assert both.held_out.lead == pytest.approx(0.10)
    assert 0 < both.held_out.lead_low < 0.10 < both.held_out.lead_high
    assert found.best_single.held_out is not None
    assert (found.best_single.label, found.best_single.held_out.accuracy) == ("a", 0.9)
    shown = page.section(findings)
    assert shown is not None
    assert "a + b, chosen on the validation images, gains +10.00 points over a" in shown.about
    assert "20.0 ms instead of 10.0 ms at p50" in shown.about


def test_a_better_ensemble_is_offered_where_its_members_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "r"
    true_probabilities = {"a": true_class(range(10)), "b": true_class(range(10, 22))}
    findings = analysed(folder, true_probabilities)

    def offered() -> list[str]:
        section = next_steps.section(findings)
        assert section is not None
        (block,) = section.blocks
        assert isinstance(block, Commands)
        return [command for what, command in block.items if "ensemble a+b" in what]

    write_atomic(weights_path(folder, findings.run.records[0].trial.key), b"")
    assert offered() == []
    write_atomic(weights_path(folder, findings.run.records[1].trial.key), b"")
    assert offered() == ["python run_bench.py predict r a+b photos/"]


def test_validation_chooses_and_the_test_images_only_judge(tmp_path: Path) -> None:
    """a + c is best on the test images; a + b is chosen, and gains nothing there."""
    validation = {
        "a": true_class(range(10)),
        "b": true_class(range(20, 30)),
        "c": true_class(range(40), 0.05),
    }
    test = {
        "a": true_class(range(10)),
        "b": true_class(range(15), 0.05),
        "c": true_class(range(20, 40)),
    }
    findings = analysed(tmp_path / "r", validation, test)
    found = found_in(findings)
    accuracies = {
        one.label: one.held_out.accuracy for one in found.shown if one.held_out is not None
    }
    assert accuracies["a + c"] == 1.0
    assert found.chosen is not None
    assert found.chosen.label == "a + b"
    assert accuracies["a + b"] == 0.85
    shown = page.section(findings)
    assert shown is not None
    assert shown.about.startswith("a + b, chosen on the validation images, loses; its lead is")


def test_a_gain_that_chance_explains_is_not_claimed(tmp_path: Path) -> None:
    true_probabilities = {"a": true_class([0, 1], 0.2), "b": true_class([2, 3, 4], 0.2)}
    shown = page.section(analysed(tmp_path / "r", true_probabilities))
    assert shown is not None
    assert "a + b, chosen on the validation images, shows no significant gain: +2.00" in shown.about


def test_the_greedy_one_grows_while_the_loss_falls(tmp_path: Path) -> None:
    """Four that err apart: each lowers the loss. A fifth that knows nothing would raise it."""
    true_probabilities = {
        name: true_class(range(10 * n, 10 * n + 10)) for n, name in enumerate("abcd")
    }
    true_probabilities["e"] = np.full(IMAGES, 0.5)
    findings = analysed(tmp_path / "r", true_probabilities)
    found = found_in(findings)
    assert found.chosen is not None
    assert found.chosen.members == ("a", "b", "c", "d")
    # Where one of four says 0.4, the mean is 0.775.
    assert found.chosen.val_loss == pytest.approx(-(60 * log(0.9) + 40 * log(0.775)) / 100)
    pairs = [one for one in (*found.shown, *found.others) if len(one.members) == 2]
    assert {one.members for one in pairs} == set(combinations("abcde", 2))
    assert len(found.others) == 5
    assert all(one.held_out is None for one in found.others)
    shown = page.section(findings)
    assert shown is not None
    rows = csv.text(shown.files["ensembles.csv"]).splitlines()
    assert len(rows) == 1 + 1 + 1 + 10  # titles, the best alone, the greedy one and all pairs
    assert len(shown.blocks[0].rows) == 1 + 6  # type: ignore[union-attr]


def test_nothing_is_chosen_where_one_alone_is_better(tmp_path: Path) -> None:
    true_probabilities = {"a": true_class([]), "b": true_class(range(30), 0.05)}
    findings = analysed(tmp_path / "r", true_probabilities)
    assert found_in(findings).chosen is None
    shown = page.section(findings)
    assert shown is not None
    lowest = f"{-log(0.9):.4f}"
    assert shown.about.endswith(f"No ensemble has a lower validation loss than a alone, {lowest}.")


def test_only_pretrained_backbones_are_members(tmp_path: Path) -> None:
    random = Net("random", source="random init")
    one = make_run(tmp_path / "one", [Net("a"), random], images=40)
    assert analyse_run(read_run(one)).ensembles is None
    assert page.section(analyse_run(read_run(one))) is None
    two = make_run(tmp_path / "two", [Net("a"), Net("b", 3.5), random], images=40)
    assert {one.label for one in found_in(analyse_run(read_run(two))).shown} == {"a + b"}
