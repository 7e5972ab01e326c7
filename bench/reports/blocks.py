"""The building blocks of a report: plain data, which each renderer shows in its own way.

A `Section` has blocks: a `Statement`, `Facts`, a `Table` of typed columns, a `Chart` (`charts.py`),
a `Gallery` (`galleries.py`), a `Notes` list or `Commands` to copy. Cells hold measured values;
their column formats them. Texts have no markup; each renderer escapes what it writes. Nothing here
computes a figure.
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
    """An interval, and the estimate in it, if a page should mark it."""

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
    """A cell without a figure, and the reason."""

    why: str
    short: str  # the reason in one or two words, for the terminal


@dataclass(frozen=True)
class Formatted:
    """A figure with its own format, instead of that of its column."""

    value: float | Range
    show: Show


@dataclass(frozen=True)
class ConfusionCount:
    """A count in a cell of a confusion matrix; on a page it opens the images of that cell."""

    value: int
    label: str  # of the backbone
    cell: tuple[int, int]  # indices of the true and the predicted class


@dataclass(frozen=True)
class Image:
    """A picture, by its path in the run's folder."""

    path: str


@dataclass(frozen=True)
class Link:
    """A link to another file of the same folder."""

    text: str
    file: str


Value = str | float | Range | Estimate | Absent | Formatted | ConfusionCount | Image | Link | None


@dataclass(frozen=True)
class Column:
    """A column of a table. Texts are aligned to the left, figures to the right."""

    title: str
    show: Show | None = None  # formats a figure; None: the column holds texts
    name: str = ""  # in CSV files; by default the title
    unit: str = ""
    better: Better = "neither"
    about: str = ""
    importance: int = 50  # the least important are hidden first where there is no room
    shaded: bool = False  # on a page: by value, a fraction
    strip: bool = False  # on a page: its ranges are drawn on one scale

    @property
    def is_text(self) -> bool:
        return self.show is None

    def text(self, value: Value) -> str:
        """Return a cell as a reader sees it; a dash for `None` or NaN."""
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
        case Formatted():
            return _text(value.value, value.show)
        case Range():
            return _ends(value.low, value.high, show)
        case Estimate(figure, deviation=float(spread)) if not isnan(spread):
            return f"{show(figure)} ± {show(spread)}"
        case Estimate(figure, low=float(low), high=float(high)):
            return f"{show(figure)} ({_ends(low, high, show)})"
        case Estimate(figure) | ConfusionCount(figure):
            return _text(figure, show)
    return fmt.MISSING if isnan(value) else show(value)


def _ends(low: float, high: float, show: Show) -> str:
    if isnan(low) or isnan(high):
        return fmt.MISSING
    return fmt.interval(low, high) if show is fmt.percent else f"{show(low)} to {show(high)}"


def sort_value(value: Value) -> float | None:
    """Return the number by which a cell is sorted; `None` if it has none."""
    match value:
        case Formatted() | Estimate() | ConfusionCount():
            return sort_value(value.value)
        case Range():
            return sort_value(value.low)
        case None | str() | Absent() | Image() | Link():
            return None
    return None if isnan(value) else float(value)


def text_columns(*titles: str) -> tuple[Column, ...]:
    """Return columns that hold texts."""
    return tuple(map(Column, titles))


def figure_columns(show: Show, *titles: str) -> tuple[Column, ...]:
    """Return columns of figures with the same format."""
    return tuple(Column(title, show) for title in titles)


def metric_column(name: str, title: str, show: Show, importance: int = 50) -> Column:
    """Return the column of a metric, with its unit and direction."""
    metric = METRICS[name]
    return Column(title, show, name, metric.unit, metric.better, metric.title, importance)


@dataclass(frozen=True)
class RowMark:
    """How a row of a table is highlighted, and why."""

    state: Literal["chosen", "muted", "failed"]
    badge: str
    about: str


@dataclass(frozen=True)
class Table:
    """Rows with one cell for each column."""

    title: str  # also read by screen readers, and the summary of a folded table
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    marks: Mapping[int, RowMark] = field(default_factory=dict)  # by row number
    folded: bool = False  # on a page: collapsed at first
    about: str = ""  # the explanation below it
    follows: str = ""  # name of a chart: a page shows only the rows of the backbone chosen there

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.title!r}: each row needs {len(self.columns)} cells")

    @property
    def texts(self) -> list[list[str]]:
        """Return every cell as a reader sees it."""
        return [
            [column.text(value) for column, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def only(self, columns: Iterable[int]) -> Table:
        """Return the table with only the columns of these indices."""
        kept = list(columns)
        return replace(
            self,
            columns=tuple(self.columns[i] for i in kept),
            rows=tuple(tuple(row[i] for i in kept) for row in self.rows),
        )


def metrics_table(title: str, metrics: Sequence[Column], rows: Iterable[pd.Series[Any]]) -> Table:
    """Return a table of metrics with a row for each backbone, without empty columns."""
    found = list(rows)
    filled = [c for c in metrics if not all(isnan(row[c.name]) for row in found)]
    cells = ((row["label"], *(row[column.name] for column in filled)) for row in found)
    return Table(title, (Column("Backbone"), *filled), tuple(cells))


@dataclass(frozen=True)
class Statement:
    """A result in a sentence, and how certain it is."""

    sentence: str
    certainty: str = ""
    lead: str = ""  # the beginning of the sentence, in larger type on a page
    shares: tuple[tuple[str, float], ...] = ()  # labelled fractions, drawn as bars on a page
    shares_title: str = ""


@dataclass(frozen=True)
class Facts:
    """Lines of text, each with a title."""

    items: tuple[tuple[str, str], ...]
    title: str


@dataclass(frozen=True)
class Notes:
    """A list of sentences, each after the name it is about, if any."""

    items: tuple[tuple[str, str], ...]  # name or "", sentence
    title: str = ""
    more: int = 0  # how many are not listed
    where: str = ""  # the place of those that are not listed
    folded: bool = False  # on a page: collapsed at first
    warning: bool = False  # limits how far the figures can be trusted

    @property
    def rest(self) -> str:
        return f"and {self.more:,} more{f', {self.where}' if self.where else ''}"


def note_list(items: Iterable[str], title: str = "") -> Notes:
    """Return notes without names."""
    return Notes(tuple(("", item) for item in items), title)


def limited_notes(
    items: Sequence[tuple[str, str]], most: int, where: str, title: str = ""
) -> Notes:
    """Return the first `most` notes, and how many more there are `where`."""
    return Notes(tuple(items[:most]), title, max(0, len(items) - most), where)


def limited_table(table: Table, most: int, where: str) -> tuple[Table, Notes]:
    """Return the first `most` rows, and a note of how many more there are `where`."""
    more = max(0, len(table.rows) - most)
    return replace(table, rows=table.rows[:most]), Notes((), more=more, where=where)


@dataclass(frozen=True)
class Commands:
    """Commands or other text to copy. With a title, the text is long and only a page shows it."""

    items: tuple[tuple[str, str], ...]  # purpose, text
    title: str = ""


Block = Statement | Facts | Table | Notes | Commands | Chart | Gallery


@dataclass(frozen=True)
class Section:
    """One topic of the report. Lists of notes without any item are left out."""

    name: str  # letters and underscores: the anchor on the page, and `report RUN --section NAME`
    title: str
    about: str  # one or more sentences, or ""
    blocks: Sequence[Block] = ()
    files: Mapping[str, Table] = field(default_factory=dict)  # CSV files to write, by name
    brief: bool = False  # also printed at the end of a run

    def __post_init__(self) -> None:
        filled = [b for b in self.blocks if not isinstance(b, Notes) or b.items or b.more]
        object.__setattr__(self, "blocks", filled)
