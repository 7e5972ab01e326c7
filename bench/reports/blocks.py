"""What sections of a report are made of: data, which every renderer shows in its own way.

A `Section` has blocks: a `Table` of cells, a `Notes` list, `Commands` to copy, or a
`Drawing`. Texts are plain, without
markup; each renderer escapes what it writes. Nothing here computes a figure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, Literal

from bench.analysis import format as fmt

Show = Callable[[float], str]


@dataclass(frozen=True)
class Cell:
    """What is read, and the figure it is sorted by, if it is one."""

    text: str
    value: float | None = None


def figure(value: float | None, show: Show) -> Cell:
    """Return the cell of a figure; a dash where there is none."""
    if value is None or isnan(value):
        return Cell(fmt.MISSING)
    return Cell(show(value), float(value))


@dataclass(frozen=True)
class Column:
    """A column of a table: words stand to the left, figures to the right."""

    title: str
    words: bool = False
    shaded: bool = False  # by its figures, which are shares


def words(*titles: str) -> tuple[Column, ...]:
    """Return columns of words."""
    return tuple(Column(title, words=True) for title in titles)


def figures(*titles: str) -> tuple[Column, ...]:
    """Return columns of figures."""
    return tuple(Column(title) for title in titles)


@dataclass(frozen=True)
class Table:
    """Rows of cells, one a column."""

    title: str  # what a screen reader says, and what a folded table is called
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    folded: bool = False  # on a page, until it is opened
    about: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.title!r}: a row has not {len(self.columns)} cells")


@dataclass(frozen=True)
class Notes:
    """A list of sentences, each after the names it is about, if any."""

    items: tuple[tuple[str, str], ...]  # who, what
    title: str = ""
    more: int = 0  # that are not listed
    where: str = ""  # they are
    folded: bool = False  # on a page, until it is opened


def notes(items: Iterable[str], title: str = "") -> Notes:
    """Return sentences about nobody in particular."""
    return Notes(tuple(("", item) for item in items), title)


@dataclass(frozen=True)
class Commands:
    """Text to copy, each after what it is for. With a title it is long: only a page has it."""

    items: tuple[tuple[str, str], ...]
    title: str = ""


PictureKind = Literal["tradeoff", "calibration", "robustness", "learning", "suspects", ""]


@dataclass(frozen=True)
class Drawing:
    """Something drawn: on the page by `static/<name>.js` from the data, elsewhere by the pictures
    of the kind, where there are."""

    name: str
    data: Mapping[str, Any] | None = None  # None: nothing to draw on the page
    pictures: PictureKind = ""


Block = Table | Notes | Commands | Drawing


@dataclass(frozen=True)
class Section:
    """One topic of the report."""

    name: str  # of its place in the page: letters and underscores
    title: str
    about: str  # one or more sentences, or ""
    blocks: Sequence[Block] = ()
