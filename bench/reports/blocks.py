"""What sections of a report are made of: data, which every renderer shows in its own way.

A `Section` has blocks: a `Statement`, `Facts`, a `Table` of typed columns, a `Chart` (`charts.py`),
a `Gallery` (`galleries.py`), a `Notes` list or `Commands` to copy. Cells hold what was measured;
their column says how a figure is written. Texts are plain, without markup; each renderer escapes
what it writes. Nothing here computes a figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from typing import TYPE_CHECKING, Any, Literal

from bench.analysis import format as fmt
from bench.analysis.format import Show
from bench.analysis.metrics.base import METRICS, Better
from bench.reports.charts import Chart
from bench.reports.galleries import Gallery

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Range:
    """The ends of an interval; `middle` is the figure it is about."""

    low: float
    high: float
    middle: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval, or its standard deviation over the seeds."""

    value: float
    low: float | None = None
    high: float | None = None
    deviation: float | None = None


@dataclass(frozen=True)
class Absent:
    """Why there is no figure."""

    why: str
    short: str  # where there is little room


@dataclass(frozen=True)
class Shown:
    """A figure that is written in another way than the others of its column."""

    value: float | Range
    show: Show


@dataclass(frozen=True)
class Answers:
    """How many answers of a backbone are in a cell of its confusion matrix; on a page it opens
    their images."""

    value: int
    label: str
    cell: tuple[int, int]  # the true class, the predicted one


@dataclass(frozen=True)
class Image:
    """A picture in the run's folder, by its path there."""

    path: str


@dataclass(frozen=True)
class Link:
    """A text that leads to another file of the same folder."""

    text: str
    file: str


Value = str | float | Range | Estimate | Absent | Shown | Answers | Image | Link | None


@dataclass(frozen=True)
class Column:
    """A column of a table: words stand to the left, figures to the right."""

    title: str
    show: Show | None = None  # how a figure is written; None: the column holds words
    name: str = ""  # in files; the title where there is none
    unit: str = ""
    better: Better = "neither"
    about: str = ""
    importance: int = 50  # where there is no room, the least important go first
    shaded: bool = False  # by its figures, which are shares
    strip: bool = False  # on a page, its ranges are drawn on one scale

    @property
    def words(self) -> bool:
        return self.show is None

    def text(self, value: Value) -> str:
        """Return what is read; a dash where there is nothing."""
        return _text(value, self.show or str)


def _text(value: Value, show: Show) -> str:
    match value:
        case None:
            return fmt.MISSING
        case str():
            return value
        case Absent():
            return value.why
        case Image():
            return value.path
        case Link():
            return value.text
        case Shown():
            return _text(value.value, value.show)
        case Range():
            return _ends(value.low, value.high, show)
        case Estimate(figure, deviation=float(spread)) if not isnan(spread):
            return f"{show(figure)} ± {show(spread)}"
        case Estimate(figure, low=float(low), high=float(high)):
            return f"{show(figure)} ({_ends(low, high, show)})"
        case Estimate(figure) | Answers(figure):
            return _text(figure, show)
    return fmt.MISSING if isnan(value) else show(value)


def _ends(low: float, high: float, show: Show) -> str:
    if isnan(low) or isnan(high):
        return fmt.MISSING
    return fmt.interval(low, high) if show is fmt.percent else f"{show(low)} to {show(high)}"


def number(value: Value) -> float | None:
    """Return the figure that a cell is sorted by; `None` if it has none."""
    match value:
        case Shown() | Estimate() | Answers():
            return number(value.value)
        case Range():
            return number(value.low)
        case None | str() | Absent() | Image() | Link():
            return None
    return None if isnan(value) else float(value)


def words(*titles: str) -> tuple[Column, ...]:
    """Return columns of words."""
    return tuple(map(Column, titles))


def figures(show: Show, *titles: str) -> tuple[Column, ...]:
    """Return columns of figures that are written alike."""
    return tuple(Column(title, show) for title in titles)


def measured(name: str, title: str, show: Show, importance: int = 50) -> Column:
    """Return the column of a metric, which says its unit and whether more is better."""
    metric = METRICS[name]
    return Column(title, show, name, metric.unit, metric.better, metric.title, importance)


@dataclass(frozen=True)
class RowMark:
    """How a row of a table stands out, and why."""

    state: Literal["chosen", "muted", "failed"]
    badge: str
    about: str


@dataclass(frozen=True)
class Table:
    """Rows of cells, one a column."""

    title: str  # what a screen reader says, and what a folded table is called
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    marks: Mapping[int, RowMark] = field(default_factory=dict)  # by row
    folded: bool = False  # on a page, until it is opened
    about: str = ""  # below it
    follows: str = ""  # a chart: on a page, only the rows of the backbone that is chosen there

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.title!r}: a row has not {len(self.columns)} cells")

    @property
    def texts(self) -> list[list[str]]:
        """Return every cell as it is read."""
        return [
            [column.text(value) for column, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def only(self, columns: Iterable[int]) -> Table:
        """Return the table with some of its columns, by place."""
        kept = list(columns)
        return replace(
            self,
            columns=tuple(self.columns[i] for i in kept),
            rows=tuple(tuple(row[i] for i in kept) for row in self.rows),
        )


def of_metrics(title: str, metrics: Sequence[Column], rows: Iterable[pd.Series[Any]]) -> Table:
    """Return a row a backbone with these metrics; those that no row has are left out."""
    found = list(rows)
    known = [c for c in metrics if not all(isnan(row[c.name]) for row in found)]
    cells = ((row["label"], *(row[column.name] for column in known)) for row in found)
    return Table(title, (Column("Backbone"), *known), tuple(cells))


@dataclass(frozen=True)
class Statement:
    """The result in a sentence, and how certain it is."""

    sentence: str
    certainty: str = ""
    lead: str = ""  # the beginning of the sentence, which a page sets larger than the rest
    shares: tuple[tuple[str, float], ...] = ()  # on a page, drawn as bars
    shares_title: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known of a thing, line by line, each with its title."""

    items: tuple[tuple[str, str], ...]
    title: str


@dataclass(frozen=True)
class Notes:
    """A list of sentences, each after the names it is about, if any."""

    items: tuple[tuple[str, str], ...]  # who, what
    title: str = ""
    more: int = 0  # that are not listed
    where: str = ""  # they are
    folded: bool = False  # on a page, until it is opened
    warning: bool = False  # what a reader must know before trusting the figures

    @property
    def rest(self) -> str:
        return f"and {self.more:,} more{f', {self.where}' if self.where else ''}"


def notes(items: Iterable[str], title: str = "") -> Notes:
    """Return sentences about nobody in particular."""
    return Notes(tuple(("", item) for item in items), title)


def listed(items: Sequence[tuple[str, str]], most: int, where: str, title: str = "") -> Notes:
    """Return the first of some notes, and how many more there are."""
    return Notes(tuple(items[:most]), title, max(0, len(items) - most), where)


def not_listed(more: int, where: str) -> list[Notes]:
    """Return a note that `more` rows of the table above are in `where`; nothing unless there are
    more."""
    return [Notes((), more=more, where=where)] if more > 0 else []


@dataclass(frozen=True)
class Commands:
    """Text to copy, each after what it is for. With a title it is long: only a page has it."""

    items: tuple[tuple[str, str], ...]
    title: str = ""


Block = Statement | Facts | Table | Notes | Commands | Chart | Gallery


@dataclass(frozen=True)
class Section:
    """One topic of the report."""

    name: str  # of its place in the page: letters and underscores
    title: str
    about: str  # one or more sentences, or ""
    blocks: Sequence[Block] = ()
    files: Mapping[str, Table] = field(default_factory=dict)  # CSV files of their own, by name
    brief: bool = False  # also in the terminal, at the end of a run
