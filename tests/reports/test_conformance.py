"""The reports conform to their formats: CommonMark with tables, and HTML."""

from __future__ import annotations

from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from synthetic import SIX, Net, make_run
from test_html_report import HOSTILE, rendered
from tinyhtml5.parser import HTMLParser  # type: ignore[import-untyped]

from bench.analysis.escape import one_line, shorten
from bench.analysis.findings import Findings, analyse_run
from bench.reports import markdown, sections
from bench.reports.blocks import Image, Section, Table
from bench.reports.html import index
from bench.reports.markdown import MAX_ROWS
from bench.storage.records import read_run

PARSER = MarkdownIt("commonmark").enable("table")
MAX_CELL = 120


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Names that look like markup, several seeds, a failure and random weights."""
    nets = [SIX[0], Net("=evil|`net`\n<b>"), *SIX[3:5], Net("broken", fails=HOSTILE[1])]
    folder = make_run(
        tmp_path_factory.mktemp("runs") / "a_b*c",
        nets,
        classes=HOSTILE,
        images=60,
        seeds=(0, 1),
        notes=list(HOSTILE),
    )
    return analyse_run(read_run(folder))


def read(inline: Token) -> str:
    """Return the text of inline Markdown; only code, images and line breaks are allowed in it."""
    words = []
    for token in inline.children or ():
        assert token.type in ("text", "code_inline", "image", "strong_open", "strong_close")
        words.append("" if token.type == "image" else token.content)
    return "".join(words)


def tables(tokens: list[Token]) -> list[list[list[str]]]:
    """Return the rows of cells of each table."""
    found: list[list[list[str]]] = []
    for place, token in enumerate(tokens):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("th_open", "td_open"):
            found[-1][-1].append(read(tokens[place + 1]))
    return found


def shown(table: Table) -> list[list[str]]:
    texts = [
        ["" if isinstance(value, Image) else text for value, text in zip(row, texts, strict=True)]
        for row, texts in zip(table.rows, table.texts, strict=True)
    ]
    rows = [[column.title for column in table.columns], *texts[:MAX_ROWS]]
    return [[shorten(one_line(cell), MAX_CELL).strip() for cell in row] for row in rows]


def blocks(shown_sections: list[Section]) -> list[Table]:
    return [b for section in shown_sections for b in section.blocks if isinstance(b, Table)]


@pytest.mark.slow
def test_markdown_parses_to_the_same_tables_and_texts(findings: Findings) -> None:
    placed = sections.sections(findings)
    tokens = PARSER.parse(markdown.text(placed))
    assert not {"html_block", "html_inline", "fence"} & {token.type for token in tokens}
    for token in tokens:
        if token.type == "inline":
            read(token)
    assert tables(tokens) == [shown(table) for table in blocks(placed)]
    headings = [read(tokens[n + 1]) for n, t in enumerate(tokens) if t.type == "heading_open"]
    assert headings == [s.title for s in placed if markdown.section_text(s)]


def errors(page: str) -> list[object]:
    """Return the errors of a parser that follows the HTML standard."""
    parser = HTMLParser()
    parser.parse(page)
    return list(parser.errors)


def test_pages_are_html_without_an_error(findings: Findings) -> None:
    assert errors("<p>no doctype<b>") != []
    assert errors(rendered(findings)) == []
    page = index.write_index(findings.run.folder.parent)
    assert errors(Path(page).read_text(encoding="utf-8")) == []
