"""Sections of blocks as data for the page, which `static/blocks.js` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.reports.blocks import Block, Cell, Commands, Drawing, Notes, Section, Table
from bench.reports.html.values import Json, cell, number, text

LONGEST = 4000  # characters of an explanation


def section_data(section: Section) -> Json:
    """Return the section; drawings only if there is something to draw on the page."""
    return {
        "title": section.title,
        "about": text(section.about, LONGEST),
        "blocks": [
            _block(block)
            for block in section.blocks
            if not (isinstance(block, Drawing) and block.data is None)
        ],
    }


def _block(block: Block) -> Json:
    match block:
        case Table():
            return {"kind": "table", **_table(block)}
        case Notes():
            return {
                "kind": "notes",
                "title": block.title,
                "items": [[text(who), text(what)] for who, what in block.items],
                "more": block.more,
                "where": block.where,
                "folded": block.folded,
            }
        case Commands():
            items = [[text(about), command] for about, command in block.items]
            return {"kind": "commands", "title": block.title, "items": items}
        case Drawing():
            return {"kind": "drawing", "name": block.name, "data": tidy(block.data)}


def _table(table: Table) -> Json:
    shaded = [index for index, column in enumerate(table.columns) if column.shaded]
    return {
        "title": text(table.title),
        "about": text(table.about, LONGEST),
        "folded": table.folded,
        "columns": [{"title": text(c.title), "left": c.words} for c in table.columns],
        "rows": [[_cell(one) for one in row] for row in table.rows],
        "heat": [shaded[0], shaded[-1] + 1] if shaded else None,
    }


def _cell(one: Cell) -> Json:
    return cell(text(one.text), one.value)


def tidy(value: Any) -> Any:
    """Return data with figures as short as a picture needs, and texts on one line."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, Mapping):
        return {name: tidy(one) for name, one in value.items()}
    if isinstance(value, Sequence):
        return [tidy(one) for one in value]
    raise TypeError(f"a drawing cannot hold {type(value).__name__}")
