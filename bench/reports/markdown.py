"""`report.md`: sections as Markdown, for reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tabulate import tabulate

from bench.analysis.escape import markdown as safe
from bench.analysis.escape import shorten
from bench.reports.blocks import (
    Block,
    Column,
    Commands,
    Drawing,
    Facts,
    Gallery,
    Image,
    Notes,
    Section,
    Statement,
    Table,
    Value,
)
from bench.reports.charts import Chart
from bench.reports.figures import Picture

LONG = 400
MAX_TEXT = 4000
MAX_ROWS = 200


def text(sections: Sequence[Section], pictures: Sequence[Picture] = ()) -> str:
    """Return a document, whose title is that of its first section; `pictures` are linked to, not
    drawn."""
    parts = [
        section_text(section, pictures, level=2 if n else 1) for n, section in enumerate(sections)
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def section_text(section: Section, pictures: Sequence[Picture] = (), level: int = 2) -> str:
    """Return a section; nothing if it has only drawings of the page."""
    tables = sum(isinstance(block, Table) for block in section.blocks)
    parts = [
        part
        for block in section.blocks
        for part in _block(block, pictures, titled=tables > 1 or level == 1)
    ]
    about = [coded(section.about)] if section.about else []
    if not parts and (section.blocks or not about):
        return ""
    return "\n\n".join([f"{'#' * level} {safe(section.title)}", *about, *parts])


def _block(block: Block, pictures: Sequence[Picture], *, titled: bool) -> Iterator[str]:
    match block:
        case Statement():
            yield f"**{safe(block.sentence, MAX_TEXT)}**"
            if block.certainty:
                yield safe(block.certainty, MAX_TEXT)
        case Facts():
            yield "\n".join(f"- **{safe(title)}:** {safe(t, LONG)}" for title, t in block.items)
        case Table():
            if titled:
                yield f"**{safe(block.title)}**"
            yield from _table(block)
        case Notes():
            yield _notes(block)
        case Commands():
            for about, command in () if block.title else block.items:
                # Four spaces rather than a fence, which an argument could end.
                lines = "\n".join(f"    {line}" for line in command.splitlines())
                yield f"{coded(about)}:\n\n{lines}" if about else lines
        case Chart() | Gallery():
            yield from _shown(block, pictures)
        case Drawing():
            for one in block.elsewhere:
                yield from _block(one, pictures, titled=True)


def _shown(block: Chart | Gallery, pictures: Sequence[Picture]) -> Iterator[str]:
    yield from (f"![{safe(one.title)}]({one.path})" for one in pictures if one.name == block.name)


def _table(block: Table) -> Iterator[str]:
    rows = [
        [_cell(column, value) for column, value in zip(block.columns, row, strict=True)]
        for row in block.rows[:MAX_ROWS]
    ]
    titles = [safe(column.title) for column in block.columns]
    aligned = ["left" if column.words else "right" for column in block.columns]
    yield tabulate(rows, titles, tablefmt="pipe", colalign=aligned, disable_numparse=True)
    if (more := len(block.rows) - MAX_ROWS) > 0:
        yield f"and {more:,} more rows, in `report.html`"
    if block.about:
        yield coded(block.about)


def _cell(column: Column, value: Value) -> str:
    return f"![]({value.path})" if isinstance(value, Image) else safe(column.text(value))


def _notes(block: Notes) -> str:
    start = "> - " if block.warning else "- "
    lines = [
        f"{start}{f'{safe(who)}: ' if who else ''}{coded(shorten(what, LONG))}"
        for who, what in block.items
    ]
    if block.more:
        lines.append(f"- and {block.more:,} more{f', {block.where}' if block.where else ''}")
    listed = "\n".join(lines)
    return f"**{block.title}**\n\n{listed}" if block.title else listed


def coded(text: str) -> str:
    """Escape a text but for the names of files and options between backticks."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a name with a backtick of its own
        return safe(text, MAX_TEXT)
    return "".join(f"`{part}`" if i % 2 else _escaped(part) for i, part in enumerate(parts))


def _escaped(part: str) -> str:
    """Escape a part of a text, whose spaces at its ends separate it from the next."""
    inner = part.strip()
    if not inner:
        return part
    start, end = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
    return f"{start}{safe(inner, MAX_TEXT)}{end}"
