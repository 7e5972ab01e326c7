"""Draws a chart from its specification as a picture: chooses places, ticks and words, computes
nothing. Lengths are in inches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.reports.charts import Cells, Chart, Layer, Line, Mark, Panel, Points, Spread
from bench.reports.figures import style
from bench.reports.figures.axes import set_up
from bench.reports.figures.labelling import Box, place

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.RED, style.INK)
SHAPES = ("o", "s", "^", "D", "X")
MAX_PANELS = 12
WIDE, SQUARE, HALF, PAGE = 6.4, 1.75, 3.3, 8.6  # a panel alone, two kinds of several, all of them
ROW, CELL, BARE = 0.3, 0.42, 4.4  # a row, a cell with text, all cells without
STRIP, MARGIN, KEY = 0.65, 0.3, 0.2
ASIDE = 0.05  # between the marks of two joined layers
LUMINANCE = np.array([0.21, 0.72, 0.07])  # how bright red, green and blue look


@dataclass(frozen=True)
class _Size:
    """A panel's own size and what it needs around it."""

    width: float
    height: float
    left: float
    above: float
    below: float
    strip: float

    @property
    def across(self) -> float:
        return self.left + self.width + MARGIN

    @property
    def down(self) -> float:
        return self.above + self.height + self.strip + self.below


def draw(chart: Chart) -> Figure:
    """Draw the first of alternatives, or else all panels in a grid, up to `MAX_PANELS`."""
    panels = chart.panels[:1] if chart.choice else chart.panels[:MAX_PANELS]
    sizes = [_size(panel, alone=len(panels) == 1) for panel in panels]
    across, down = max(s.across for s in sizes), max(s.down for s in sizes)
    together = sum(panel.title == panels[0].title for panel in panels)
    columns = max(together, int(PAGE / across) // together * together)
    columns = min(columns, len(panels))
    title = style.label(chart.title, 60)
    wanted = 0.6 + style.widest([title], style.TITLE, "bold")
    width = max(columns * across + 0.1, wanted, 4.6)
    notes = _notes(chart, panels, width - 2 * MARGIN)
    keys = list(_keys(panels, width - 2 * MARGIN))
    top = 0.5 + 0.16 * len(notes) + KEY * len(keys) + 0.1
    height = top + -(-len(panels) // columns) * down + 0.1
    drawn = style.figure(width, height)
    for number, (panel, size) in enumerate(zip(panels, sizes, strict=True)):
        left = number % columns * across + size.left
        ceiling = height - top - number // columns * down - size.above
        _panel(drawn, panel, size, Box(left, ceiling - size.height, left + size.width, ceiling))
    style.heading(drawn, MARGIN, title, "\n".join(notes))
    for row, line in enumerate(keys):
        y = height - 0.5 - 0.16 * len(notes) - KEY * (row + 0.5)
        for x, layer in line:
            _key(drawn, MARGIN + x, y, layer)
    return drawn


def _notes(chart: Chart, panels: Sequence[Panel], room: float) -> list[str]:
    said = [chart.note, panels[0].note if len(panels) == 1 else ""]
    if not chart.choice and len(chart.panels) > len(panels):
        said.append(f"The first {len(panels)} of {len(chart.panels)}.")
    return style.wrapped(" ".join(filter(None, said)), room)


def _size(panel: Panel, *, alone: bool) -> _Size:
    cells = next((layer for layer in panel.layers if isinstance(layer, Cells)), None)
    rows, columns = panel.y.names, panel.x.names
    width = WIDE if alone else SQUARE if panel.height > 0.8 else HALF
    height = len(rows) * ROW if rows else width * panel.height
    below = 0.3 + (0.22 if panel.x.title else 0.0)
    if cells is not None and cells.texts:
        widest = style.widest(
            (line for row in cells.texts for text in row for line in text.split("\n")), style.SMALL
        )
        width = len(columns) * max(CELL, widest + 0.12)
        height = len(rows) * max(ROW, 0.16 + 0.14 * cells.texts[0][0].count("\n"))
    elif cells is not None:
        width = height = max(BARE, 0.13 * len(rows) * any(rows))
    if columns and not fits(columns, width / len(columns)):
        below += style.widest((style.label(name, 24) for name in columns), style.SMALL)
    strip = [mark for mark in _marks(panel) if mark.y is None]
    if len(strip) and len(strip) == len(list(_marks(panel))):
        height = 0.0
    left = style.widest((style.label(name, 40) for name in rows), style.SMALL) if rows else 0.32
    above = 0.14 + 0.2 * bool(panel.title) + 0.2 * bool(panel.spans) + 0.2 * bool(panel.y.title)
    deep = STRIP + 0.1 * min(20, max(0, len(strip) - 3)) if strip else 0.0
    return _Size(width, height, MARGIN + left + 0.1, above, below, deep)


def fits(names: Sequence[str], room: float) -> bool:
    """Return whether names of columns have room next to each other."""
    return style.widest((style.label(name, 24) for name in names), style.SMALL) < room - 0.08


def _marks(panel: Panel) -> Iterator[Mark]:
    for layer in panel.layers:
        if isinstance(layer, Points):
            yield from layer.marks


def _panel(drawn: Figure, panel: Panel, size: _Size, frame: Box) -> None:
    """Draw one panel in its frame, the strip below it, and the words around both."""
    ground = Box(frame.left, frame.bottom - size.strip, frame.right, frame.bottom)
    parts = [(set_up(style.panel(drawn, frame), panel, fits), False)] if size.height else []
    if size.strip:
        parts.append((set_up(style.panel(drawn, ground), panel, fits, strip=True), True))
        style.write(drawn, frame.left + 0.05, ground.top - 0.14, panel.strip, fontsize=style.SMALL)
    if len(parts) == 2:
        parts[0][0].tick_params(labelbottom=False)
    labels: list[tuple[Mark, Axes]] = []
    for axes, strip in parts:
        joined = [one for one in panel.layers if isinstance(one, Points) and _shifted(one)]
        for layer in panel.layers:
            if isinstance(layer, Points):
                aside = joined.index(layer) - (len(joined) - 1) / 2 if layer in joined else 0.0
                _points(axes, layer, panel, aside * ASIDE, strip=strip)
                if layer.labelled:
                    labels += [(m, axes) for m in layer.marks if (m.y is None) == strip]
            elif not strip:
                _other(axes, layer)
    _names(drawn, labels, Box(ground.left, ground.bottom, frame.right, frame.top), ground.top)
    _words(drawn, panel, frame, ground.bottom - size.below)


def _shifted(layer: Points) -> bool:
    """Return whether its intervals could hide those of another."""
    return layer.joined and any(mark.interval for mark in layer.marks)


def _words(drawn: Figure, panel: Panel, frame: Box, floor: float) -> None:
    y = frame.top + 0.1
    small: dict[str, Any] = {"fontsize": style.SMALL}
    low = panel.x.low if panel.x.low is not None else 0.0
    high = panel.x.high if panel.x.high is not None else float(len(panel.x.names))
    for span in panel.spans:
        ends = [
            frame.left + (x - low) / (high - low) * (frame.right - frame.left)
            for x in (span.start, span.end)
        ]
        name = style.fitting(span.name, 40, ends[1] - ends[0] - 0.06, style.SMALL)
        style.write(drawn, sum(ends) / 2, y, name, ha="center", **small)
    y += 0.2 * bool(panel.spans)
    if panel.y.title:
        style.write(drawn, frame.left - 0.3 * (not panel.y.names), y, panel.y.title, **small)
        y += 0.2
    if panel.title:
        room = frame.right - frame.left + 0.2
        style.write(
            drawn,
            frame.left - 0.1,
            y,
            style.fitting(panel.title, 60, room, style.SMALL, "bold"),
            weight="bold",
            color=style.INK,
            **small,
        )
    middle = (frame.left + frame.right) / 2
    style.write(drawn, middle, floor + 0.04, panel.x.title, ha="center", **small)


def colour_of(layer: Points | Line) -> str:
    return style.FAINT if layer.colour is None else COLOURS[layer.colour % len(COLOURS)]


def _look(layer: Points) -> dict[str, Any]:
    """Tell layers apart by shape as well as colour; from the sixth on, by a hollow shape."""
    index, colour = layer.colour or 0, colour_of(layer)
    hollow = layer.hollow or index >= len(COLOURS)
    return {
        "marker": SHAPES[index % len(SHAPES)] if layer.joined else "o",
        "facecolor": "white" if hollow else colour,
        "edgecolor": colour,
    }


def _points(axes: Axes, layer: Points, panel: Panel, aside: float, *, strip: bool) -> None:
    marks = [mark for mark in layer.marks if (mark.y is None) == strip]
    if not marks:
        return
    colour = colour_of(layer)
    y = [0.42 if mark.y is None else mark.y for mark in marks]
    x = [_moved(axes, mark.x, aside) for mark in marks]
    if layer.joined:
        axes.plot(x, y, color=colour, linewidth=1.4, clip_on=False)
    # All intervals as one broken line: drawing has a fixed cost for each line.
    ends: list[tuple[float, float]] = []
    for mark, across, up in zip(marks, x, y, strict=True):
        if mark.interval is not None and not strip:
            two = [(v, up) if panel.y.names else (across, v) for v in mark.interval]
            ends += [*two, (nan, nan)]
    if ends:
        axes.plot(*zip(*ends, strict=True), color=colour, linewidth=1.2, alpha=0.6, clip_on=False)
    radii = np.array([1.6 + 3.2 * np.sqrt(mark.size) for mark in marks]) - 0.8 * layer.joined
    axes.scatter(x, y, s=(2 * radii) ** 2, linewidth=1.3, clip_on=False, zorder=3, **_look(layer))


def _moved(axes: Axes, x: float, inches: float) -> float:
    if not inches:
        return x
    across, up = axes.transData.transform((x, 0.5))
    return float(axes.transData.inverted().transform((across + inches * style.DPI, up))[0])


def _other(axes: Axes, layer: Layer) -> None:
    match layer:
        case Line():
            _line(axes, layer)
        case Cells():
            _cells(axes, layer)
        case Spread():
            low, high = layer.row - 0.3, layer.row + 0.3
            axes.vlines(layer.ticks, low, high, color=style.BLUE, linewidth=0.5, alpha=0.35)
            if layer.box is not None:
                first, middle, last = layer.box
                axes.fill_betweenx([low, high], first, last, color=style.BLUE, alpha=0.22, lw=0)
                axes.vlines([middle], low - 0.08, high + 0.08, color=style.INK, linewidth=1.8)


def _line(axes: Axes, layer: Line) -> None:
    y = [nan if value is None else value for value in layer.y]
    # A phase of one epoch is a point; a line through it would be invisible.
    gap = [True, *np.isnan(y), True]
    alone = [i for i in range(len(y)) if gap[i] and gap[i + 2] and not gap[i + 1]]
    axes.plot(
        [nan if value is None else value for value in layer.x],
        y,
        color=colour_of(layer),
        linewidth=0.9 if layer.colour is None else 1.2,
        linestyle=(0, (3, 2)) if layer.dashed else "-",
        drawstyle="steps-post" if layer.steps else "default",
        marker="o" if alone else "",
        markersize=2.5,
        markevery=alone,
    )


def _cells(axes: Axes, layer: Cells) -> None:
    image = axes.imshow(
        layer.shades,
        cmap="Greys" if layer.grey else "Blues",
        vmin=-0.03,
        vmax=1.1,
        aspect="auto",
        interpolation="nearest",
    )
    colours = image.to_rgba(layer.shades)
    for row, column in np.ndindex(*layer.shades.shape) if layer.texts else ():
        dark = colours[row, column, :3] @ LUMINANCE < 0.5
        axes.text(
            column,
            row,
            layer.texts[row][column],
            ha="center",
            va="center",
            fontsize=style.SMALL,
            color="white" if dark else style.INK,
        )


def _names(drawn: Figure, labels: Sequence[tuple[Mark, Axes]], frame: Box, floor: float) -> None:
    """Write the label of each mark where there is room, with a line to it if it is far."""
    points, obstacles = [], []
    for mark, axes in labels:
        heights = (0.42,) * 3 if mark.y is None else (mark.y, *(mark.interval or (mark.y,) * 2))
        (x, y), (_, low), (_, high) = (
            axes.transData.transform((mark.x, height)) / style.DPI for height in heights
        )
        points.append((x, y))
        obstacles += [Box(x, y, x, y).grown(0.06), Box(x - 0.02, low, x + 0.02, high)]
    names = [style.label(mark.label, 34) for mark, _ in labels]
    sizes = [(style.widest([name], style.SMALL), style.SMALL / 72) for name in names]
    width, height = drawn.get_size_inches()
    obstacles.append(Box(frame.left, floor - 0.16, frame.left + 1.6, floor))
    found = place(points, sizes, obstacles, frame)
    for name, (x, y), box in zip(names, points, found, strict=True):
        if box is None:
            continue
        middle = (box.bottom + box.top) / 2
        how: dict[str, Any] = {"fontsize": style.SMALL, "color": style.INK}
        style.write(drawn, box.left, middle, name, va="center_baseline", **how)
        near = box.nearest((x, y))
        if abs(near[0] - x) + abs(near[1] - y) > 0.27:
            ends = [x / width, near[0] / width], [y / height, near[1] / height]
            drawn.add_artist(Line2D(*ends, color=style.FAINT, linewidth=0.7))


def _keys(panels: Sequence[Panel], room: float) -> Iterator[list[tuple[float, Points | Line]]]:
    """Yield rows of the key: every name of a layer once."""
    layers = {
        layer.name: layer
        for panel in panels
        for layer in panel.layers
        if isinstance(layer, Points | Line) and layer.name
    }
    row: list[tuple[float, Points | Line]] = []
    x = 0.0
    for name, layer in layers.items():
        wide = 0.55 + style.widest([style.label(name, 70)], style.SMALL)
        if row and x + wide > room:
            yield row
            row, x = [], 0.0
        row.append((x, layer))
        x += wide
    if row:
        yield row


def _key(drawn: Figure, x: float, y: float, layer: Points | Line) -> None:
    width, height = drawn.get_size_inches()
    look: dict[str, Any] = {"color": colour_of(layer), "linewidth": 1.6}
    if isinstance(layer, Line):
        look["linestyle"] = (0, (3, 2)) if layer.dashed else "-"
    elif not layer.joined:
        look["linestyle"] = ""
    if isinstance(layer, Points):
        shape = _look(layer)
        look |= {"marker": shape["marker"], "markersize": 5, "markevery": [1]}
        look |= {"markerfacecolor": shape["facecolor"], "markeredgecolor": shape["edgecolor"]}
    across = [(x + part) / width for part in (0, 0.125, 0.25)]
    drawn.add_artist(Line2D(across, [y / height] * 3, **look))
    how: dict[str, Any] = {"fontsize": style.SMALL, "color": style.INK, "va": "center_baseline"}
    style.write(drawn, x + 0.32, y, style.label(layer.name, 70), **how)
