"""What a chart is made of: data, drawn by `html/static/chart.js` and by `figures/chart.py`.

A `Chart` has panels, a panel two axes and layers: points, lines, cells or spreads. Figures arrive
computed, and `ticks.py` says how far axes reach: a renderer chooses places, nothing else.
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
    """An axis of figures or, with `names`, of places 0, 1, ...; names go down from the top."""

    title: str = ""
    percent: bool = False
    log: bool = False
    whole: bool = False  # ticks only at whole numbers
    low: float | None = None  # None: as far as the marks reach
    high: float | None = None
    ticks: tuple[float, ...] = ()  # none: at round figures
    words: tuple[str, ...] = ()  # of the ticks
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mark:
    """A point. With `tip` it is explained, under its label, when a reader points at it."""

    x: float
    y: float | None  # None: in the strip below the panel
    label: str = ""
    tip: tuple[str, ...] = ()
    interval: tuple[float, float] | None = None  # of x if y has names, else of y
    size: float = 0.3  # of its area, to the largest
    about: str = ""  # the backbone, if the label is not its name


@dataclass(frozen=True)
class Points:
    """Marks that share a look; the `name` is for the key."""

    marks: tuple[Mark, ...]
    name: str = ""
    colour: int | None = 0  # of the palette, with a shape of its own; None: grey
    hollow: bool = False
    joined: bool = False  # by a line
    labelled: bool = False  # labels are written next to the marks, where there is room


@dataclass(frozen=True)
class Line:
    """A line, broken where y is None. One with a name is read step by step."""

    x: Numbers
    y: Numbers
    name: str = ""
    colour: int | None = None  # None: grey
    dashed: bool = False
    steps: bool = False  # level until the next x


@dataclass(frozen=True, eq=False)
class Cells:
    """A heat map: a row for each name of y, a column for each name of x. Shades are shares."""

    shades: NDArray[np.floating]  # NaN: no figure
    texts: Sequence[Sequence[str]] = ()  # none: too many to read
    about: tuple[str, ...] = ()  # the backbone of each column, or else of each row
    opens: Sequence[Sequence[int]] = ()  # the answers in each cell, whose images a page shows


def accuracies(shares: NDArray[np.float64], about: Sequence[str]) -> Cells:
    """Return cells in percent: no shade a little below the lowest, a full one at 1."""
    least = max(0.0, float(np.floor(10 * np.nanmin(shares) - 0.5)) / 10)
    texts = [[MISSING if np.isnan(one) else f"{100 * one:.0f}" for one in row] for row in shares]
    return Cells((shares - least) / (1 - least), texts, tuple(about))


@dataclass(frozen=True)
class Spread:
    """A row of ticks, one a measurement, and a box around the middle half of all."""

    row: int
    ticks: tuple[float, ...]
    label: str
    tip: tuple[str, ...]
    box: tuple[float, float, float] | None = None  # quartiles


Layer = Points | Line | Cells | Spread


@dataclass(frozen=True)
class Span:
    """A part of the x axis with a name."""

    start: float
    end: float
    name: str


@dataclass(frozen=True)
class Panel:
    """Layers over two axes."""

    x: Axis
    y: Axis
    layers: tuple[Layer, ...]
    title: str = ""
    about: str = ""  # the backbone, if all of the panel is about one
    note: str = ""  # under the panel
    spans: tuple[Span, ...] = ()
    strip: str = ""  # what marks without y are
    height: float = 0.45  # relative to the width, if y has no names


@dataclass(frozen=True)
class Chart:
    """One panel, several next to each other or, with `choice`, one of several at a time."""

    name: str  # of its file, letters and underscores
    title: str
    panels: tuple[Panel, ...]
    note: str = ""
    choice: str = ""  # what the panels are alternatives of
    on_paper: int = 1  # of the alternatives, how many are printed and drawn as pictures

    def of(self, panel: Panel) -> Chart:
        """Return the chart of one of the alternatives."""
        title = f"{self.title} of {panel.title}"
        return replace(self, title=title, panels=(replace(panel, title=""),), choice="")


def differences(x: Axis, rows: Sequence[str], marks: Mapping[str, Sequence[Mark]]) -> Panel:
    """Return a row a difference, around zero; the marks of the second name are hollow."""
    zero = Line((0.0, 0.0), (-0.5, len(rows) - 0.5))
    named = enumerate(marks.items())
    layers = (Points(tuple(found), name, hollow=n > 0) for n, (name, found) in named if found)
    return Panel(x, Axis(names=tuple(rows)), (zero, *layers))


MAX_LINES = 10  # that a reader can tell apart: five colours with their shapes, filled and hollow


def lines(marks: Mapping[str, Sequence[Mark]]) -> tuple[Points, ...]:
    """Return a line through the marks of each name, up to `MAX_LINES`."""
    return tuple(
        Points(tuple(found), name, colour, joined=True)
        for colour, (name, found) in enumerate(list(marks.items())[:MAX_LINES])
    )


def drawn_of(count: int) -> str:
    """Return a sentence if not all of so many lines are drawn."""
    return f" The first {MAX_LINES} of {count} are drawn." if count > MAX_LINES else ""
