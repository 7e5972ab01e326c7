"""Probes in the reports, from stored predictions."""

from __future__ import annotations

import csv
import io
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from synthetic import Net, answers, judged, make_run, write_records

from bench.analysis.findings import analyse_run
from bench.analysis.statistics import wilson
from bench.reports import csv as csv_report
from bench.reports.blocks import Notes, Section, Table, sort_value
from bench.reports.charts import Chart, Points
from bench.reports.sections import probes
from bench.storage.arrays import write_arrays
from bench.storage.records import read_records, read_run

IMAGES = 40
NETS = [Net("one"), Net("random", source="random init")]


def probed_run(folder: Path, seeds: tuple[int, ...] = (0,)) -> Path:
    """Of 40 test images the trained model gets 0 and 1 wrong, the head 0 to 3, the regression 0 and
    2 to 9, the nearest neighbours none; of the validation images the regression gets fewer wrong.
    """
    make_run(folder, NETS, images=IMAGES, seeds=seeds)
    for record in read_records(folder):
        of_head, trained = answers(range(4), IMAGES), answers([0, 1], IMAGES)
        arrays = judged(trained, phase_test_probabilities=np.stack([of_head, trained]))
        if record.pretrained:
            arrays |= {
                "knn_test_probabilities": answers([], IMAGES),
                "knn_validation_probabilities": answers([0, 1], IMAGES),
                "logistic_test_probabilities": answers([0, *range(2, 10)], IMAGES),
                "logistic_validation_probabilities": answers([0], IMAGES),
            }
        write_arrays(folder, record.trial.key, arrays)
    return folder


def section_of(folder: Path) -> Section | None:
    return probes.section(analyse_run(read_run(folder)))


def agresti_min(won: int, lost: int, images: int) -> tuple[float, float, float]:
    """Return the interval of a paired difference, with half an image more won and half lost."""
    more, b, c = images + 2, won + 0.5, lost + 0.5
    half = 1.959964 * sqrt(b + c - (b - c) ** 2 / more) / more
    return (won - lost) / images, (b - c) / more - half, (b - c) / more + half


def test_the_table_the_file_and_the_chart_by_hand(tmp_path: Path) -> None:
    section = section_of(probed_run(tmp_path / "run"))
    assert section is not None
    table, chart, notes = section.blocks
    assert isinstance(table, Table)
    assert [column.title for column in table.columns] == [
        *("Backbone", "k-NN", "Logistic", "After head", "After fine-tune"),
        *("Gain", "95% interval", "Training", "Best probe"),
    ]
    (row,) = table.rows
    assert [sort_value(value) for value in row[1:5]] == [1.0, 0.775, 0.9, 0.95]
    # Against the regression, which was better on the validation images: 8 won, 1 lost.
    change, low, high = agresti_min(8, 1, IMAGES)
    assert sort_value(row[5]) == pytest.approx(change)
    assert (row[7], row[8]) == ("helped", "Logistic")
    (line,) = csv.DictReader(io.StringIO(csv_report.text(section.files["probes.csv"])))
    assert (float(line["gain_low"]), float(line["gain_high"])) == pytest.approx((low, high))
    ends = float(line["logistic_accuracy_low"]), float(line["logistic_accuracy_high"])
    assert ends == pytest.approx(wilson(31, IMAGES))
    assert isinstance(chart, Chart)
    (panel,) = chart.panels
    marks = [layer.marks[0] for layer in panel.layers if isinstance(layer, Points)]
    assert [mark.x for mark in marks] == [1.0, 0.775, 0.9, 0.95]
    assert [mark.y for mark in marks] == pytest.approx([-0.3, -0.1, 0.1, 0.3])
    assert isinstance(notes, Notes)
    assert notes.items == (("random (random init)", "no pretrained weights"),)


def test_seeds_that_share_the_probes_are_paired_with_each(tmp_path: Path) -> None:
    one, three = (
        section_of(probed_run(tmp_path / str(len(seeds)), seeds)) for seeds in ((0,), (0, 1, 2))
    )
    assert one is not None
    assert three is not None
    # The three seeds answer alike, so there is nothing more to know of the probes.
    texts = [
        csv_report.text(section.files["probes.csv"]).splitlines()[1] for section in (one, three)
    ]
    probes_alone = [text.split(",")[:7] for text in texts]
    assert probes_alone[0] == probes_alone[1]


def test_a_backbone_without_probes_of_every_seed_says_so(tmp_path: Path) -> None:
    folder = probed_run(tmp_path / "run", (0, 1))
    (record, *_) = (r for r in read_records(folder) if r.pretrained)
    write_arrays(folder, record.trial.key, judged(answers([0], IMAGES)))
    assert section_of(folder) is None
    write_records(folder, [r for r in read_records(folder) if r.trial.seed == 1])
    assert section_of(folder) is not None


def test_a_run_without_probes_has_no_section(tmp_path: Path) -> None:
    assert section_of(make_run(tmp_path / "run", NETS)) is None
