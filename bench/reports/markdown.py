"""`report.md`: sections as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tabulate import tabulate

from bench.analysis.escape import markdown as safe
from bench.analysis.escape import shorten
from bench.reports.blocks import (
    Block,
    Commands,
    Facts,
    Image,
    Notes,
    Section,
    Statement,
    Table,
    Value,
)
from bench.reports.charts import Chart
from bench.reports.galleries import MAX_SHEETS, Gallery

if TYPE_CHECKING:
    from bench.reports.figures import Picture

LONG = 400
MAX_TEXT = 4000
MAX_ROWS = 60


def text(sections: Sequence[Section], pictures: Sequence[Picture] = ()) -> str:
    """Return a document titled like its first section, with links to `pictures`."""
    parts = [
        section_text(section, pictures, level=2 if n else 1) for n, section in enumerate(sections)
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def section_text(section: Section, pictures: Sequence[Picture] = (), level: int = 2) -> str:
    """Return a section; "" if it has only charts and galleries without pictures."""
    parts = [part for block in section.blocks for part in _block(block, section, pictures)]
    about = [escape_except_code(section.about)] if section.about else []
    if not parts and (section.blocks or not about):
        return ""
    return "\n\n".join([f"{'#' * level} {safe(section.title)}", *about, *parts])


def _block(block: Block, section: Section, pictures: Sequence[Picture]) -> Iterator[str]:
    match block:
        case Statement():
            yield f"**{safe(block.sentence, MAX_TEXT)}**"
            if block.certainty:
                yield safe(block.certainty, MAX_TEXT)
        case Facts():
            yield "\n".join(f"- **{safe(title)}:** {safe(t, LONG)}" for title, t in block.items)
        case Table():
            if block.title != section.title and len(section.blocks) > 1:
                yield f"**{safe(block.title)}**"
            yield from _table(block)
        case Notes():
            yield _notes(block)
        case Commands():
            for about, command in () if block.title else block.items:
                # Four spaces rather than a fence, which an argument could end.
                lines = "\n".join(f"    {line}" for line in command.splitlines())
                yield f"{escape_except_code(about)}:\n\n{lines}" if about else lines
        case Chart() | Gallery():
            drawn = [one for one in pictures if one.name == block.name]
            yield from (f"![{safe(one.title)}]({one.path})" for one in drawn)
            if isinstance(block, Gallery) and not drawn and not block.listed:
                yield from _files(block)


def _files(block: Gallery) -> Iterator[str]:
    """Yield lists of the images of a gallery without pictures."""
    for sheet in block.sheets[:MAX_SHEETS]:
        lines = (f"- {safe(s.file)} ({safe(f'{s.title}, {s.words}')})" for s in sheet.shots)
        yield f"**{safe(block.title_of(sheet))}**\n\n" + "\n".join(lines)


def _table(block: Table) -> Iterator[str]:
    yield render_table(replace(block, rows=block.rows[:MAX_ROWS]), "pipe", _cell)
    if (more := len(block.rows) - MAX_ROWS) > 0:
        yield f"and {more:,} more rows, in `report.html`"
    if block.about:
        yield escape_except_code(block.about)


def _cell(value: Value, text: str) -> str:
    return f"![]({value.path})" if isinstance(value, Image) else safe(text)


def render_table(table: Table, style: str, cell: Callable[[Value, str], str]) -> str:
    """Return a table in a format of tabulate; `cell` escapes a text, given its value or `None`."""
    rows = zip(table.rows, table.texts, strict=True)
    return tabulate(
        [[cell(*one) for one in zip(values, texts, strict=True)] for values, texts in rows],
        [cell(None, column.title) for column in table.columns],
        tablefmt=style,
        colalign=["left" if column.is_text else "right" for column in table.columns],
        disable_numparse=True,
    )


def _notes(block: Notes) -> str:
    start = "> - " if block.warning else "- "
    lines = [
        f"{start}{f'{safe(who)}: ' if who else ''}{escape_except_code(shorten(what, LONG))}"
        for who, what in block.items
    ]
    if block.more:
        lines.append(f"- {block.rest}")
    listed = "\n".join(lines)
    return f"**{block.title}**\n\n{listed}" if block.title else listed


def escape_except_code(text: str) -> str:
    """Escape a text except file names and options between backticks."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # unpaired: a name contains a backtick
        return safe(text, MAX_TEXT)
    return "".join(f"`{part}`" if i % 2 else safe(part, MAX_TEXT) for i, part in enumerate(parts))
