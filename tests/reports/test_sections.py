"""Sections: the same columns and cells in every report; a new section is one file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from rich.console import Console
from synthetic import SIX, Net, make_run, write_records
from test_html_report import data_of, rendered

from bench.analysis import format as fmt
from bench.analysis.findings import Findings, analyse_run
from bench.reports import csv as csv_report
from bench.reports import latex, markdown, sections, terminal
from bench.reports.blocks import (
    Absent,
    Column,
    Estimate,
    Formatted,
    Notes,
    Range,
    Section,
    Table,
    sort_value,
    text_columns,
)
from bench.reports.charts import Chart, Panel, Points
from bench.reports.figures import pictures
from bench.reports.markdown import escape_except_code, section_text
from bench.storage.records import read_records, read_run

DUMMY = """
from bench.reports.blocks import Column, Notes, Section, Table
from bench.reports.charts import Axis, Chart, Mark, Panel, Points

PLACE = 45.5


def section(findings):
    columns = (Column("Backbone"), Column("Seven", "{:.0f} s".format, name="sevens"))
    table = Table("Sevens", columns, tuple((label, 7.25) for label in findings.records))
    notes = Notes((("somebody", "said so, with `--seven`"),), "Said")
    marks = tuple(Mark(7, place, label, ("7 s",)) for place, label in enumerate(findings.records))
    panel = Panel(Axis("s"), Axis(names=tuple(findings.records)), (Points(marks),))
    blocks = [table, notes, Chart("sevens", "Seven of each", (panel,))]
    about = "What a test adds, in `sevens.csv`."
    return Section("sevens", "Sevens of all", about, blocks, {"sevens.csv": table}, True)
"""


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Two seeds of six backbones, with prices and a failure."""
    nets = [*SIX, Net("broken", fails="out of memory")]
    folder = make_run(tmp_path_factory.mktemp("runs") / "r", nets, seeds=(0, 1), price_per_hour=2.0)
    counted = [replace(record, flops=10**9) for record in read_records(folder)]
    write_records(folder, counted)
    return analyse_run(read_run(folder))


def plain(cell: str) -> str:
    """Undo the escapes of Markdown."""
    return unescape(cell.replace("\\", "")).strip()


def in_markdown(section: Section) -> list[list[str]]:
    lines = [line for line in section_text(section).splitlines() if line.startswith("|")]
    return [[plain(cell) for cell in line.strip("|").split("|")] for line in lines]


def in_terminal(table: Table) -> list[list[str]]:
    drawn = terminal.table(table, 10_000)
    titles = [str(column.header) for column in drawn.columns]
    cells = zip(*(map(str, column.cells) for column in drawn.columns), strict=True)
    return [titles, *map(list, cells)]


def short(table: Table) -> list[list[str]]:
    """Return the cells as the terminal writes them; only reasons may be shorter there."""
    return [
        [v.short if isinstance(v, Absent) else text for v, text in zip(row, texts, strict=True)]
        for row, texts in zip(table.rows, table.texts, strict=True)
    ]


def test_every_report_has_the_same_columns_and_cells(findings: Findings) -> None:
    placed = sections.sections(findings)
    page = data_of(rendered(findings))
    text = markdown.text(placed)
    compared = 0
    for section in placed:
        for name, table in section.files.items():
            compared += raw_in_csv(name, table)
        if not section.blocks:
            continue
        shown = page["sections"][section.name]
        assert shown["title"] == section.title
        assert f"# {section.title}\n" in text or not section_text(section)
        tables = [block for block in section.blocks if isinstance(block, Table)]
        rows = in_markdown(section)
        on_page = [block for block in shown["blocks"] if block["kind"] == "table"]
        for table, other in zip(tables, on_page, strict=True):
            titles = [column.title for column in table.columns]
            assert [column["title"] for column in other["columns"]] == titles
            assert [[cell["text"] for cell in row] for row in other["rows"]] == table.texts
            start = rows.index(titles)
            assert rows[start + 2 : start + 2 + len(table.texts)] == table.texts
            assert in_terminal(table)[1:] == [[c[:40] for c in row] for row in short(table)] or any(
                len(cell) > 40 for row in table.texts for cell in row
            )
            values = [[cell.get("value") for cell in row] for row in other["rows"]]
            for row, cells in zip(table.rows, values, strict=True):
                for value, raw in zip(map(sort_value, row), cells, strict=True):
                    assert raw == (None if value is None else pytest.approx(value, rel=1e-5))
            compared += raw_in_csv(table.title, table)
    assert compared > 100


@pytest.mark.slow
def test_every_chart_has_the_same_marks_in_the_page_and_in_the_picture(findings: Findings) -> None:
    placed = sections.sections(findings)
    page = data_of(rendered(findings))
    drawn = {one.name: one.draw() for one in pictures(placed, {})}
    compared = 0
    for section in placed:
        on_page = page["sections"].get(section.name, {"blocks": ()})["blocks"]
        for block, shown in zip(section.blocks, on_page, strict=True):
            if isinstance(block, Chart):
                assert len(block.panels) == len(shown["panels"])
                axes = drawn[block.name].axes
                compared += same_marks(block.panels[0], shown["panels"][0], axes)
    assert compared > 30


def same_marks(panel: Panel, shown: dict[str, Any], axes: Sequence[Axes]) -> int:
    """Compare the points of a panel with those of the page and the picture; return their number."""
    compared = 0
    for layer, other in zip(panel.layers, shown["layers"], strict=True):
        if not isinstance(layer, Points):
            continue
        expected = [(mark.x, mark.y) for mark in layer.marks]
        held = [(mark["x"], mark["y"]) for mark in other["marks"]]
        np.testing.assert_allclose(np.array(held, float), np.array(expected, float), rtol=1e-5)
        painted = [
            tuple(point)
            for one in axes[:2]  # the panel and its strip
            for collection in one.collections
            for point in np.asarray(collection.get_offsets()).tolist()
        ]
        for x, y in expected:
            near = {px for px, py in painted if y is None or py == pytest.approx(y)}
            assert any(px == pytest.approx(x, rel=0.05) for px in near), (panel.title, x, y)
        compared += len(expected)
    return compared


def raw_in_csv(name: str, table: Table) -> int:
    """Compare the figures of a CSV file with those of the table; return their number."""
    rows = list(csv.reader(io.StringIO(csv_report.text(table))))
    compared = 0
    place = 0
    for index, column in enumerate(table.columns):
        values = [row[index] for row in table.rows]
        width = 2 if any(isinstance(v, Range) for v in values) else 1
        width = max([width, *(1 + sum(e is not None for e in ends(v)) for v in values)])
        assert rows[0][place].removesuffix("_low" * (width == 2)) == (
            column.name or column.title
        ), name
        for value, row in zip(values, rows[1:], strict=True):
            if (raw := sort_value(value)) is not None:
                assert float(row[place]) == pytest.approx(raw, rel=1e-11), (name, column)
                compared += 1
            elif isinstance(value, str):
                assert row[place].lstrip("'") == value, name
        place += width
    assert all(len(row) == place for row in rows)
    return compared


def ends(value: object) -> tuple[float | None, ...]:
    return (value.low, value.high, value.deviation) if isinstance(value, Estimate) else ()


def test_costs_and_parts_of_the_time_are_the_same_everywhere(findings: Findings) -> None:
    found = {section.name: section for section in sections.sections(findings)}
    (costs,) = (block for block in found["costs"].blocks if isinstance(block, Table))
    assert [column.title for column in costs.columns][-2:] == [
        "Cost of training",
        "Cost of 1 M images",
    ]
    (times,) = (block for block in found["times"].blocks if isinstance(block, Table))
    titles = [column.title for column in times.columns]
    for row in times.rows:
        values = {title: sort_value(value) or 0.0 for title, value in zip(titles, row, strict=True)}
        total = values.pop("total")
        parts = [value for title, value in values.items() if title not in ("Seed", "reused")]
        assert sum(parts) == pytest.approx(total)


@pytest.mark.slow
def test_a_new_section_is_one_file(
    findings: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sevens.py").write_text(DUMMY)
    monkeypatch.setattr(sections, "__path__", [*sections.__path__, str(tmp_path)])
    placed = sections.sections(findings)
    drawn = pictures(placed, {})
    text = markdown.text(placed, drawn)
    page = data_of(rendered(findings))
    assert text.count("## Sevens of all") == 1
    assert "| mobilenetv2" in text[text.index("## Sevens of all") :]
    assert "- somebody: said so, with `--seven`" in text
    assert page["sections"]["sevens"]["blocks"][0]["rows"][0][1] == {"text": "7 s", "value": 7.25}
    (picture,) = (one for one in drawn if one.path == "figures/sevens.png")
    assert f"![Seven of each]({picture.path})" in text
    (axes,) = picture.draw().axes
    points = axes.collections[0].get_offsets()
    assert np.asarray(points).tolist() == [[7, i] for i in range(len(findings.records))]
    (panel,) = page["sections"]["sevens"]["blocks"][2]["panels"]
    assert [mark["label"] for mark in panel["layers"][0]["marks"]] == list(findings.records)
    names = list(page["sections"])
    assert names.index("sevens") == names.index("phases") + 1
    out = io.StringIO()
    (section,) = (section for section in placed if section.name == "sevens")
    terminal.show([section], Console(file=out, width=80))
    assert "somebody: said so" in out.getvalue()
    assert "Seven" in out.getvalue()
    (file,) = section.files.values()
    assert csv_report.text(file).splitlines()[0] == "Backbone,sevens"
    assert ",7.25\n" in csv_report.text(file)
    assert "7 s" in latex.text(file, "about")


def test_a_cell_is_written_as_its_column_says() -> None:
    column = Column("Accuracy", fmt.percent)
    assert column.text(0.5) == "50.00%"
    assert column.text(float("nan")) == column.text(None) == "–"
    assert column.text(Range(0.5, 0.625)) == "50.0–62.5%"
    assert column.text(Estimate(0.5, 0.25, 0.75)) == "50.00% (25.0–75.0%)"
    assert column.text(Estimate(0.5, deviation=0.125)) == "50.00% ± 12.50%"
    assert column.text(Estimate(0.5, deviation=float("nan"))) == "50.00%"
    assert column.text(Absent("not pretrained", "none")) == "not pretrained"
    assert column.text(Formatted(7, "{} ms".format)) == "7 ms"
    assert Column("Change", fmt.signed_points).text(Range(-0.01, 0.02)) == "-1.00 to +2.00"


def test_texts_are_escaped_but_for_code() -> None:
    assert escape_except_code("see `a_b.csv`, *not* <b>") == r"see `a_b.csv`, \*not\* &lt;b&gt;"
    assert escape_except_code("a name with ` of its own") == r"a name with \` of its own"


def test_a_table_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="each row needs 2 cells"):
        Table("t", text_columns("a", "b"), (("only one",),))


def test_a_section_of_pictures_is_left_out_if_none_was_drawn() -> None:
    assert section_text(Section("x", "X", "about", [Chart("x", "X", ())])) == ""
    more = Section("x", "X", "", [Notes((("a", "b"),), "Failed", more=3, where="`run.json`")])
    assert section_text(more).splitlines()[-1] == "- and 3 more, `run.json`"
