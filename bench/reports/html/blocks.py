"""Sections as data for the page, which `static/page.js` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import partial
from itertools import chain
from math import isfinite
from typing import Any

import numpy as np

from bench.analysis import format as fmt
from bench.analysis.escape import one_line, shorten
from bench.reports.blocks import (
    Block,
    Column,
    Commands,
    ConfusionCount,
    Estimate,
    Image,
    Link,
    Range,
    Section,
    Statement,
    Table,
    Value,
    sort_value,
)
from bench.reports.charts import Cells, Chart, Line, Points, Spread
from bench.reports.ticks import scale_axes

LONGEST = 4000  # characters of an explanation
LONG = 600  # of any other text
Json = dict[str, Any]


def text(value: object, most: int = LONG) -> str:
    """Return one line without control characters; the page never parses it as markup."""
    return shorten(one_line(str(value)), most)


def rounded(value: float | None, digits: int = 6) -> float | None:
    """Return a figure with a few significant digits; `None` if it is missing or not finite."""
    if value is None or not isfinite(value):
        return None
    return float(f"{float(value):.{digits}g}")


def section_data(section: Section) -> Json:
    """Return a section and its blocks as JSON data."""
    return {
        "title": text(section.title),
        "about": text(section.about, LONGEST),
        "blocks": [_block(block) for block in section.blocks],
    }


def _block(block: Block) -> Json:
    match block:
        case Statement():
            texts = {"sentence": block.sentence, "certainty": block.certainty, "lead": block.lead}
            shares = [[text(label), rounded(one), fmt.tenths(one)] for label, one in block.shares]
            return {
                "kind": "statement",
                **{name: text(words, LONGEST) for name, words in texts.items()},
                "bars": {"title": text(block.shares_title), "rows": shares},
            }
        case Table():
            return {"kind": "table", **_table(block)}
        case Commands():  # a copied text keeps its lines
            items = [[text(about), command] for about, command in block.items]
            return {"kind": "commands", "title": block.title, "items": items}
        case Chart():
            return _kind(replace(block, panels=tuple(map(scale_axes, block.panels))))
    return _kind(block)


def _table(table: Table) -> Json:
    return {
        "title": text(table.title),
        "about": text(table.about, LONGEST),
        "folded": table.folded,
        "follows": table.follows,
        "columns": [_column(column) for column in table.columns],
        # Converted one by one when they are encoded, because there may be thousands.
        "rows": [partial(_cells, table.columns, row) for row in table.rows],
        "marks": to_json(table.marks),
    }


def _cells(columns: Sequence[Column], row: Sequence[Value]) -> list[Json]:
    return [_cell(column, value) for column, value in zip(columns, row, strict=True)]


def _column(column: Column) -> Json:
    unit = f", {column.unit}" if column.unit not in ("", "share") else ""
    better = f" ({column.better} is better)" if column.better != "neither" else ""
    return {
        "title": text(column.title),
        "left": column.is_text,
        "about": text(f"{column.about}{unit}{better}") if column.about else "",
        "lower": column.better == "lower",
        "importance": column.importance,
        "shaded": column.shaded,
        "strip": column.strip,
    }


def _cell(column: Column, value: Value) -> Json:
    if isinstance(value, Image):
        return {"text": "", "image": value.path}
    shown: Json = {"text": text(column.text(value))}
    if (sorted_by := rounded(sort_value(value))) is not None:
        shown["value"] = sorted_by
    match value:
        case Link():
            shown["link"] = value.file
        case ConfusionCount():
            shown["opens"] = [text(value.label), *value.cell]
        case Range():
            shown["ends"] = [rounded(end) for end in (value.low, value.middle, value.high)]
        case Estimate(middle, low=float(low), high=float(high)):
            shown["ends"] = [rounded(end) for end in (low, middle, high)]
    return shown


def to_json(value: Any) -> Any:
    """Return a part of a block as JSON data, with rounded figures and one-line texts."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return rounded(value)
    if isinstance(value, Cells):
        return _heat_map(value)
    if isinstance(value, Line | Points | Spread):
        return _kind(value)
    if is_dataclass(value):
        return _fields(value)
    if isinstance(value, np.ndarray):
        return [[rounded(one, 3) for one in row] for row in value]
    if isinstance(value, Mapping):
        return {name: to_json(one) for name, one in value.items()}
    if isinstance(value, Sequence):
        return [to_json(one) for one in value]
    raise TypeError(f"a block cannot contain {type(value).__name__}")


def _heat_map(cells: Cells) -> Json:
    if cells.texts:
        return _kind(cells) | {"texts": [[cell.split("\n") for cell in row] for row in cells.texts]}
    # With a thousand classes, nearly all cells are empty.
    filled = zip(*np.nonzero(cells.shades), cells.shades[cells.shades > 0].tolist(), strict=True)
    flat = ((int(row), int(column), rounded(shade, 3)) for row, column, shade in filled)
    return {"kind": "cells", "filled": list(chain.from_iterable(flat))}


def _kind(value: Any) -> Json:
    return {"kind": type(value).__name__.lower(), **_fields(value)}


def _fields(value: Any) -> Json:
    """Return the fields of a dataclass that differ from their defaults."""
    given = ((field.name, getattr(value, field.name), field.default) for field in fields(value))
    return {
        name: to_json(one)
        for name, one, default in given
        if default is MISSING or (one is not default and one != default)
    }
