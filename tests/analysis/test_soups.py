"""Weight soups in the report: validation chose the seeds, the test images judge the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from synthetic import Net, answers, judged, make_run, write_records

from bench.analysis.findings import Findings, analyse_run
from bench.analysis.soups import WeightSoup
from bench.reports import csv
from bench.reports.blocks import Commands
from bench.reports.sections import next_steps, soups
from bench.storage.arrays import write_arrays
from bench.storage.records import read_run
from bench.types import Ingredient, Soup

IMAGES = 100


def analysed(
    folder: Path, wrong: Sequence[int], taken: Sequence[bool] = (True, False, True)
) -> Findings:
    """Return a run in which each seed gets the first ten images wrong, and the soup these."""
    nets = [Net("a"), Net("random", source="random init")]
    run = read_run(make_run(folder, nets, seeds=(0, 1, 2), images=IMAGES))
    records = list(run.records)
    tried = [Ingredient(2, records[2].finished, 0.9, True)]
    tried += [Ingredient(0, records[0].finished, 0.92, taken[0])]
    tried += [Ingredient(1, records[1].finished, 0.89, taken[1])]
    for number, record in enumerate(records):
        arrays = judged(answers(range(10), IMAGES), latency_keras_b1=np.full(100, 0.012))
        if number == 1:  # any of them may hold it
            for split in ("validation", "test"):
                arrays[f"soup_{split}_probabilities"] = answers(wrong, IMAGES)
            seconds = {**record.seconds, "soup": 2.5}
            records[1] = replace(record, soup=Soup(tuple(tried)), seconds=seconds)
        write_arrays(folder, record.trial.key, arrays)
    write_records(folder, records)
    return analyse_run(read_run(folder))


def the_soup(findings: Findings) -> WeightSoup:
    (found,) = findings.soups
    return found


def test_the_lead_is_over_the_best_seed_by_validation_on_the_same_images(tmp_path: Path) -> None:
    findings = analysed(tmp_path / "r", [0, 1, 50])
    found = the_soup(findings)
    assert (found.label, found.name, found.seeds) == ("a", "a@soup", (2, 0))
    assert found.held_out is not None
    assert found.held_out.accuracy == 0.97
    assert found.held_out.lead == pytest.approx(0.07)
    # Eight images won, one lost; Agresti and Min add half a one to each.
    more, won, lost = IMAGES + 2, 8.5, 1.5
    half = 1.959964 * sqrt(won + lost - (won - lost) ** 2 / more) / more
    assert found.held_out.lead_low == pytest.approx((won - lost) / more - half, abs=1e-5)
    assert found.held_out.lead_high == pytest.approx((won - lost) / more + half, abs=1e-5)
    assert found.is_better
    section = soups.section(findings)
    assert section is not None
    assert section.about == "The averaged model is better than the best seed: a."
    (row,) = section.blocks[0].rows  # type: ignore[union-attr]
    assert row[:5] == ("a", "0, 1, 2", "0, 2", 0.9, 0.92)
    assert row[-2:] == (pytest.approx(12), 2.5)  # of one model
    titles, values = csv.text(section.files["soups.csv"]).splitlines()
    assert "lead,lead_low,lead_high" in titles
    assert ",0.97," in values


def test_a_gain_is_offered_to_predict_with_and_one_that_chance_explains_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def offered(findings: Findings) -> list[str]:
        section = next_steps.section(findings)
        assert section is not None
        (block,) = section.blocks
        assert isinstance(block, Commands)
        return [command for _, command in block.items if "@soup" in command]

    assert offered(analysed(tmp_path / "results" / "one", [0, 1])) == [
        "python run_bench.py predict one a@soup photos/"
    ]
    findings = analysed(tmp_path / "two", range(9))
    assert offered(findings) == []
    section = soups.section(findings)
    assert section is not None
    assert "No averaged model is shown to be better than the best seed" in section.about
    assert "a +1.00 (" in section.about


def test_the_best_seed_stays_where_every_average_is_worse(tmp_path: Path) -> None:
    findings = analysed(tmp_path / "r", [0], taken=(False, False))
    assert the_soup(findings).held_out is None
    section = soups.section(findings)
    assert section is not None
    (row,) = section.blocks[0].rows  # type: ignore[union-attr]
    assert row[:6] == ("a", "0, 1, 2", "2 alone", 0.9, 0.9, None)
    assert "lowers the validation accuracy" in section.about


def test_a_soup_of_a_seed_that_was_trained_again_is_not_shown(tmp_path: Path) -> None:
    findings = analysed(tmp_path / "r", [0, 1])
    first, *others = findings.run.records
    records = [replace(first, finished="later"), *others]
    write_records(tmp_path / "r", records)
    assert analyse_run(read_run(tmp_path / "r")).soups == ()
    assert soups.section(analyse_run(read_run(tmp_path / "r"))) is None
