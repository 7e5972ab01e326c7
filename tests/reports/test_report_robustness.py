"""Robustness in the reports, from stored predictions."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from synthetic import SIX, Net, answers, judged, make_run, write_records

from bench import reports as report
from bench.analysis.findings import analyse_run
from bench.reports.charts import Chart
from bench.reports.figures import chart
from bench.reports.sections import robustness
from bench.storage.arrays import write_arrays
from bench.storage.records import read_records, read_run
from bench.training.robustness import KINDS


def corrupted_run(folder: Path, nets: list[Net], seeds: tuple[int, ...] = (0,)) -> Path:
    """Ten test images, all right as they are; of the corrupted ones the first is wrong at strength
    2, the first three at strength 3, and with seed 1 one more each time."""
    make_run(folder, nets, images=10, seeds=seeds)
    for record in read_records(folder):
        corrupted = [answers(range(wrong + record.trial.seed), 10) for wrong in (0, 1, 3)]
        arrays = judged(
            answers([], 10),
            robust_images=np.arange(10),
            robust_corruptions=np.array(KINDS),
            robust_probabilities=np.stack([np.stack(corrupted)] * len(KINDS)),
        )
        write_arrays(folder, record.trial.key, arrays)
    return folder


@pytest.mark.slow
def test_the_table_and_the_file_by_hand(tmp_path: Path) -> None:
    folder = corrupted_run(tmp_path / "run", [Net("one"), Net("two")], seeds=(0, 1))
    names = {path.name for path in report.render(folder)}
    assert {"robustness.csv", "robustness.png"} <= names
    text = (folder / "report.md").read_text(encoding="utf-8")
    section = text[text.index("## Robustness") :]
    (line,) = [line for line in section.splitlines() if line.startswith("| one")][:1]
    # Wrong of ten: 0, 1, 3 with seed 0 and 1, 2, 4 with seed 1; 11 of 60.
    share = f"{100 * (1 - 11 / 60):.2f}%"
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    assert cells == ["100.00%", *[share] * (1 + len(KINDS))]
    assert "all 10 test images" in section
    assert "(figures/robustness.png)" in section

    with (folder / "robustness.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "two"]
    assert len(rows) == 1 + 3 * len(KINDS)
    assert (rows[0]["corruption"], rows[0]["strength"], rows[0]["accuracy"]) == ("none", "0", "1")
    strong = next(r for r in rows if (r["corruption"], r["strength"]) == ("noise", "3"))
    assert float(strong["accuracy"]) == pytest.approx(0.65)
    # Wilson for 6.5 of 10.
    low, high = float(strong["accuracy_low"]), float(strong["accuracy_high"])
    assert (low, high) == pytest.approx((0.3536, 0.8633), abs=1e-3)


def test_only_the_seeds_that_all_finished_count(tmp_path: Path) -> None:
    folder = corrupted_run(tmp_path, [Net("one"), Net("two")], seeds=(0, 1))
    kept = [r for r in read_records(folder) if (r.trial.backbone, r.trial.seed) != ("two", 1)]
    write_records(folder, kept)
    found = analyse_run(read_run(folder)).robustness
    # Seed 0 alone: 0, 1 and 3 wrong of ten.
    assert [row.mean for row in found.values()] == pytest.approx([26 / 30, 26 / 30])


@pytest.mark.slow
def test_without_robustness_there_is_no_section(tmp_path: Path) -> None:
    folder = make_run(tmp_path, SIX[:2])
    names = {path.name for path in report.render(folder)}
    assert not {"robustness.csv", "robustness.png"} & names
    assert "Robustness" not in (folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 20])
def test_the_picture_shows_every_accuracy(tmp_path: Path, count: int) -> None:
    nets = [Net(f"a_backbone_with_a_very_long_name_of_its_own_{i}") for i in range(count)]
    section = robustness.section(analyse_run(read_run(corrupted_run(tmp_path, nets))))
    assert section is not None
    _, block = section.blocks
    assert isinstance(block, Chart)
    drawn = chart.draw(block)
    (axes,) = drawn.axes
    written = [text.get_text() for text in axes.texts]
    assert written == ["100", *["100", "90", "70"] * len(KINDS)] * count
    for text in drawn.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0, text.get_text()
        assert box.y0 >= 0, text.get_text()
