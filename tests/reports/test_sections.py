"""Sections of blocks: the same columns and cells in every report, and a new one in one file."""

from __future__ import annotations

from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from synthetic import SIX, Net, make_run, write_records
from test_html_report import data_of

from bench.analysis.findings import Findings, find
from bench.reports import html, markdown, sections
from bench.reports.blocks import Cell, Drawing, Notes, Section, Table, figures, words
from bench.reports.markdown_parts import coded, section_text
from bench.storage.records import load_run, read_records

DUMMY = """
from bench.reports.blocks import Cell, Notes, Section, Table, figures, words

PLACE = 45.5


def section(findings):
    rows = tuple((Cell(label), Cell("7 s", 7.0)) for label in findings.records)
    table = Table("Sevens", (*words("Backbone"), *figures("Seven")), rows)
    notes = Notes((("somebody", "said so, with `--seven`"),), "Said")
    return Section("sevens", "Sevens of all", "What a test adds, in `sevens.csv`.", [table, notes])
"""


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Two seeds of six backbones, with prices and a failure."""
    nets = [*SIX, Net("broken", fails="out of memory")]
    folder = make_run(tmp_path_factory.mktemp("runs") / "r", nets, seeds=(0, 1), price_per_hour=2.0)
    counted = [replace(record, flops=10**9) for record in read_records(folder)]
    write_records(folder, counted)
    return find(load_run(folder))


def plain(cell: str) -> str:
    """Undo what Markdown escapes."""
    return unescape(cell.replace("\\", "")).strip()


def test_every_report_has_the_same_columns_and_cells(findings: Findings) -> None:
    page = data_of(html.page(findings))
    text = markdown.text(findings, [])
    compared = 0
    for _, section in sections.sections(findings):
        shown = page["sections"][section.name]
        assert shown["title"] == section.title
        assert f"## {section.title}" in text or not section_text(section, [])
        tables = [block for block in section.blocks if isinstance(block, Table)]
        lines = [line for line in section_text(section, []).splitlines() if line.startswith("|")]
        rows = [[plain(cell) for cell in line.strip("|").split("|")] for line in lines]
        on_page = [block for block in shown["blocks"] if block["kind"] == "table"]
        for table, other in zip(tables, on_page, strict=True):
            titles = [column.title for column in table.columns]
            cells = [[cell.text for cell in row] for row in table.rows]
            assert [column["title"] for column in other["columns"]] == titles
            assert [[cell["text"] for cell in row] for row in other["rows"]] == cells
            start = rows.index(titles)
            assert rows[start + 2 : start + 2 + len(cells)] == cells
            compared += len(cells)
    assert compared > 20


def test_costs_and_parts_of_the_time_are_the_same_everywhere(findings: Findings) -> None:
    found = {section.name: section for _, section in sections.sections(findings)}
    (costs,) = (block for block in found["costs"].blocks if isinstance(block, Table))
    assert [column.title for column in costs.columns][-2:] == [
        "Cost of training",
        "Cost of 1 M images",
    ]
    (times,) = (block for block in found["times"].blocks if isinstance(block, Table))
    titles = [column.title for column in times.columns]
    for row in times.rows:
        values = {title: cell.value or 0.0 for title, cell in zip(titles, row, strict=True)}
        total = values.pop("total")
        parts = [value for title, value in values.items() if title not in ("Seed", "reused")]
        assert sum(parts) == pytest.approx(total)


def test_a_new_section_is_one_file(
    findings: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sevens.py").write_text(DUMMY)
    monkeypatch.setattr(sections, "__path__", [*sections.__path__, str(tmp_path)])
    text = markdown.text(findings, [])
    page = data_of(html.page(findings))
    assert text.count("## Sevens of all") == 1
    assert "| mobilenetv2" in text[text.index("## Sevens of all") :]
    assert "- somebody: said so, with `--seven`" in text
    assert page["sections"]["sevens"]["blocks"][0]["rows"][0][1] == {"text": "7 s", "value": 7.0}
    assert page["contents"].index("sevens") == page["contents"].index("phases") + 1


def test_texts_are_escaped_but_for_code() -> None:
    assert coded("see `a_b.csv`, *not* <b>") == r"see `a_b.csv`, \*not\* &lt;b&gt;"
    assert coded("a name with ` of its own") == r"a name with \` of its own"


def test_a_table_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="a row has not 2 cells"):
        Table("t", (*words("a"), *figures("b")), ((Cell("only one"),),))


def test_what_only_the_page_draws_is_no_section_elsewhere() -> None:
    assert section_text(Section("x", "X", "about", [Drawing("x", {})]), []) == ""
    more = Section("x", "X", "", [Notes((("a", "b"),), "Failed", more=3, where="`run.json`")])
    assert section_text(more, []).splitlines()[-1] == "- and 3 more, `run.json`"
