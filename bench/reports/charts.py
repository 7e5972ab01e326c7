"""The specification of a chart, drawn by `html/static/chart.js` and by `figures/chart.py`.

A `Chart` has panels; a panel has two axes and layers of points, lines, cells or spreads. All
figures are already computed, and `ticks.py` sets the limits of the axes: a renderer only does the
layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.analysis.format import MISSING

Numbers = Sequence[float | None]


@dataclass(frozen=True)
class Axis:
    """A numeric axis or, with `names`, one of positions 0, 1, ...; names go from top to bottom."""

    title: str = ""
    percent: bool = False
    log: bool = False
    whole: bool = False  # ticks only at whole numbers
    low: float | None = None  # None: set from the data
    high: float | None = None
    ticks: tuple[float, ...] = ()  # empty: at round numbers
    words: tuple[str, ...] = ()  # labels of the ticks
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mark:
    """A point; `label` and `tip` are its tooltip on a page."""

    x: float
    y: float | None  # None: in the strip below the panel
    label: str = ""
    tip: tuple[str, ...] = ()
    interval: tuple[float, float] | None = None  # of x if the y axis has names, else of y
    size: float = 0.3  # area relative to the largest mark
    about: str = ""  # the backbone, if the label is another name


@dataclass(frozen=True)
class Points:
    """Marks of the same colour and shape; the `name` appears in the key."""

    marks: tuple[Mark, ...]
    name: str = ""
    colour: int | None = 0  # index in the palette; each has its own shape; None: grey
    hollow: bool = False
    joined: bool = False  # connected by a line
    labelled: bool = False  # labels are drawn next to the marks, where there is room


@dataclass(frozen=True)
class Line:
    """A line, broken where y is None. On a page, the values of a line with a name can be read."""

    x: Numbers
    y: Numbers
    name: str = ""
    colour: int | None = None  # None: grey
    dashed: bool = False
    steps: bool = False  # constant until the next x


@dataclass(frozen=True, eq=False)
class Cells:
    """A heat map: a row for each name of y, a column for each name of x. Shades are in 0 to 1."""

    shades: NDArray[np.floating]  # NaN: no figure
    texts: Sequence[Sequence[str]] = ()  # empty: too many cells for texts
    about: tuple[str, ...] = ()  # the backbone of each column or of each row
    opens: Sequence[Sequence[int]] = ()  # predictions in each cell; a page shows their images


def accuracy_cells(shares: NDArray[np.float64], about: Sequence[str]) -> Cells:
    """Return cells in percent, shaded from just below the lowest accuracy to 1."""
    least = max(0.0, float(np.floor(10 * np.nanmin(shares) - 0.5)) / 10)
    texts = [[MISSING if np.isnan(one) else f"{100 * one:.0f}" for one in row] for row in shares]
    return Cells((shares - least) / (1 - least), texts, tuple(about))


@dataclass(frozen=True)
class Spread:
    """A row of ticks, one for each measurement, and a box from the first to the third quartile."""

    row: int
    ticks: tuple[float, ...]
    label: str
    tip: tuple[str, ...]
    box: tuple[float, float, float] | None = None  # quartiles


Layer = Points | Line | Cells | Spread


@dataclass(frozen=True)
class Span:
    """A named part of the x axis."""

    start: float
    end: float
    name: str


@dataclass(frozen=True)
class Panel:
    """Layers drawn on two axes."""

    x: Axis
    y: Axis
    layers: tuple[Layer, ...]
    title: str = ""
    about: str = ""  # the backbone, if the panel is about a single one
    note: str = ""  # written below the panel
    spans: tuple[Span, ...] = ()
    strip: str = ""  # title of the strip with the marks that have no y
    height: float = 0.45  # relative to the width, if the y axis has no names


@dataclass(frozen=True)
class Chart:
    """One panel, several next to each other or, with `choice`, one of several at a time."""

    name: str  # of its file: letters and underscores
    title: str
    panels: tuple[Panel, ...]
    note: str = ""
    choice: str = ""  # label of the menu that selects a panel; empty: all are shown
    on_paper: int = 1  # how many of the alternatives are printed and saved as pictures

    def only(self, panel: Panel) -> Chart:
        """Return a chart of only one of the alternative panels."""
        title = f"{self.title} of {panel.title}"
        return replace(self, title=title, panels=(replace(panel, title=""),), choice="")


def difference_panel(x: Axis, rows: Sequence[str], marks: Mapping[str, Sequence[Mark]]) -> Panel:
    """Return a panel of rows with differences from zero; marks of the second name are hollow."""
    zero = Line((0.0, 0.0), (-0.5, len(rows) - 0.5))
    named = enumerate(marks.items())
    layers = (Points(tuple(found), name, hollow=n > 0) for n, (name, found) in named if found)
    return Panel(x, Axis(names=tuple(rows)), (zero, *layers))


MAX_LINES = 10  # distinguishable: five colours and shapes, filled and hollow


def line_layers(marks: Mapping[str, Sequence[Mark]]) -> tuple[Points, ...]:
    """Return a line through the marks of each name, for the first `MAX_LINES` names."""
    return tuple(
        Points(tuple(found), name, colour, joined=True)
        for colour, (name, found) in enumerate(list(marks.items())[:MAX_LINES])
    )


def limit_note(count: int) -> str:
    """Return a sentence that says how many of `count` lines are drawn; "" if all are."""
    return f" The first {MAX_LINES} of {count} are drawn." if count > MAX_LINES else ""
