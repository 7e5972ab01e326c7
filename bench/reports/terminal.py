"""Sections in the terminal; as plain text if the output is not a terminal.

If a table is wider than the console, its least important columns are left out and named below it.
The other reports have all columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich import table as rich
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from bench.analysis.escape import one_line, shorten
from bench.reports.blocks import (
    Absent,
    Block,
    Column,
    Commands,
    Facts,
    Notes,
    Section,
    Statement,
    Table,
    Value,
)
from bench.reports.charts import Chart
from bench.reports.galleries import Gallery

MAX_CELL = 40  # characters
CUTS = (120, MAX_CELL, 24)  # lengths to which longer cells are cut, until every column fits
MAX_TEXT = 400
MAX_SENTENCE = 2000
GAP = 2
UNLIMITED = 100_000  # the width for output that must not be cut or wrapped
STYLES = {"chosen": "bold", "muted": "dim", "failed": "red"}


def show(sections: Iterable[Section], console: Console, *, folded: bool = False) -> None:
    """Print sections, separated by empty lines; brief ones without their titles. `folded` includes
    the blocks that are collapsed on a page."""
    for number, section in enumerate(sections):
        blocks = [b for b in section.blocks if folded or not getattr(b, "folded", False)]
        titled = not section.brief and not isinstance(next(iter(blocks), None), Statement)
        if number:
            console.print()
        if titled:
            console.print(Text(section.title, style="bold underline"))
            if section.about:
                console.print(Text(section.about, style="dim"))
        for number, block in enumerate(blocks):
            title = block.title if isinstance(block, Table | Notes) else ""
            if (number or not section.brief) and title not in ("", section.title):
                console.print(Text(f"\n{title}", style="bold"))
            for part in _parts(block, console.width):
                # Line breaks of ours would end up in a copied command.
                console.print(part, soft_wrap=isinstance(block, Commands))


def _parts(block: Block, width: int) -> Iterator[RenderableType]:
    match block:
        case Statement():
            yield Text(_one_line(block.sentence, MAX_SENTENCE), style="bold")
            if block.certainty:
                yield Text(_one_line(block.certainty, MAX_SENTENCE), style="dim")
        case Facts():
            yield ""
            lines = rich.Table.grid(padding=(0, GAP))
            lines.add_column(style="bold", no_wrap=True)
            lines.add_column(overflow="fold")
            for title, text in block.items:
                lines.add_row(title, Text(_one_line(text)))
            yield lines
        case Table():
            yield table(block, width)
        case Notes():
            yield from _notes(block)
        case Commands():
            for about, command in () if block.title else block.items:
                yield Text.assemble((f"{about}: ", "dim"), command)
        case Chart() | Gallery():  # only for a page
            pass


def _notes(block: Notes) -> Iterator[Text]:
    for who, what in block.items:
        mark = ("! ", "bold yellow") if block.warning else "- "
        yield Text.assemble(mark, f"{_one_line(who)}: " if who else "", _one_line(what))
    if block.more:
        yield Text(f"- {block.rest}")


def table(block: Table, width: int) -> rich.Table:
    """Return a table with as many columns as fit into `width` characters."""
    for most in CUTS:
        cells = [
            [
                _cell_text(column, value, most)
                for column, value in zip(block.columns, row, strict=True)
            ]
            for row in block.rows
        ]
        shown = _fitting(block.columns, cells, width)
        if len(shown) == len(block.columns):
            break
    drawn = rich.Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in (block.columns[place] for place in shown):
        drawn.add_column(
            Text(column.title),
            justify="left" if column.is_text else "right",
            no_wrap=True,
            overflow="ellipsis",
        )
    for number, row in enumerate(cells):
        mark = block.marks.get(number)
        style = STYLES[mark.state] if mark else ""
        drawn.add_row(*(Text(row[place]) for place in shown), style=style)
    if hidden := [column.title for n, column in enumerate(block.columns) if n not in shown]:
        caption = f"No room for {', '.join(hidden)}: a wider terminal shows more."
        drawn.caption = Text(caption, "dim", justify="left")
    return drawn


def _cell_text(column: Column, value: Value, most: int) -> str:
    text = value.short if isinstance(value, Absent) else column.text(value)
    return _one_line(text, most if len(text) > MAX_CELL else MAX_CELL)


def _fitting(columns: tuple[Column, ...], cells: list[list[str]], width: int) -> list[int]:
    """Return the indices of the most important columns that fit, in display order. The first column
    of texts names the rows and is always kept."""
    name = next((i for i, column in enumerate(columns) if column.is_text), 0)
    order = sorted(range(len(columns)), key=lambda i: (i != name, -columns[i].importance))
    texts = ((columns[i].title, *(row[i] for row in cells)) for i in order)
    widths = [max(map(cell_len, column)) for column in texts]
    return sorted(order[: count_fitting(widths, width)])


def count_fitting(widths: Sequence[int], width: int, least: int = 1) -> int:
    """Return how many columns fit into `width`, the most important first, but at least `least`."""
    count = len(widths)
    while count > least and sum(widths[:count]) + GAP * (count - 1) > width:
        count -= 1
    return count


def _one_line(text: str, most: int = MAX_TEXT) -> str:
    return shorten(one_line(text), most)
