"""Draws a chart from its specification as a picture: chooses places, computes
nothing. Lengths are in inches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from bench.reports.charts import Cells, Chart, Line, Mark, Panel, Points
from bench.reports.figures import layers, style
from bench.reports.figures.axes import set_up
from bench.reports.figures.labelling import Box, place
from bench.reports.ticks import scaled

MAX_PANELS = 12
WIDE, SQUARE, HALF, PAGE = 6.4, 1.75, 3.3, 8.6  # a panel alone, two kinds of several, all of them
ROW, CELL, BARE = 0.3, 0.42, 4.4  # a row, a cell with text, all cells without
STRIP, MARGIN, KEY = 0.65, 0.3, 0.2
ASIDE = 0.05  # between the marks of two joined layers
HALO = (withStroke(linewidth=3, foreground="white"),)  # of a name, where a line runs through it


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
    panels = [scaled(panel) for panel in chart.panels[:MAX_PANELS]]
    if chart.choice:
        panels = [replace(panels[0], title="")]
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
    nameless = 0
    for number, (panel, size) in enumerate(zip(panels, sizes, strict=True)):
        left = number % columns * across + size.left
        ceiling = height - top - number // columns * down - size.above
        frame = Box(left, ceiling - size.height, left + size.width, ceiling)
        nameless += _panel(drawn, panel, size, frame)
    if nameless:
        about = f"{nameless} name{'s' * (nameless > 1)} had no room"
        style.write(drawn, MARGIN, 0.08, about, fontsize=style.SMALL)
    style.heading(drawn, MARGIN, title, "\n".join(notes))
    for row, line in enumerate(keys):
        y = height - 0.5 - 0.16 * len(notes) - KEY * (row + 0.5)
        for x, layer in line:
            layers.key(drawn, MARGIN + x, y, layer)
    return drawn


def _notes(chart: Chart, panels: Sequence[Panel], room: float) -> list[str]:
    which = f"{chart.choice}: {chart.panels[0].title}." if chart.choice else ""
    said = [chart.note, which, panels[0].note if len(panels) == 1 else ""]
    if not chart.choice and len(chart.panels) > len(panels):
        said.append(f"The first {len(panels)} of {len(chart.panels)}.")
    return style.wrapped(" ".join(filter(None, said)), room)


def _size(panel: Panel, *, alone: bool) -> _Size:
    cells = next((layer for layer in panel.layers if isinstance(layer, Cells)), None)
    points = [layer for layer in panel.layers if isinstance(layer, Points)]
    rows, columns = panel.y.names, panel.x.names
    width = WIDE if alone else SQUARE if panel.height > 0.8 else HALF
    height = len(rows) * ROW if rows else width * panel.height
    # More names need more room.
    named = sum(len(one.marks) for one in points if one.labelled)
    many = min(40, max(0, named - 12))
    width, height = width + 0.08 * many, height + 0.09 * many
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
    marks = [mark for one in points for mark in one.marks]
    strip = [mark for mark in marks if mark.y is None]
    if strip and len(strip) == len(marks):
        height = 0.0
    left = style.widest((style.label(name, 40) for name in rows), style.SMALL) if rows else 0.32
    above = 0.14 + 0.2 * bool(panel.title) + 0.2 * bool(panel.spans) + 0.2 * bool(panel.y.title)
    deep = STRIP + 0.1 * min(20, max(0, len(strip) - 3)) if strip else 0.0
    return _Size(width, height, MARGIN + left + 0.1, above, below, deep)


def fits(names: Sequence[str], room: float) -> bool:
    """Return whether names of columns have room next to each other."""
    return style.widest((style.label(name, 24) for name in names), style.SMALL) < room - 0.08


def _panel(drawn: Figure, panel: Panel, size: _Size, frame: Box) -> int:
    """Draw one panel in its frame, the strip below it, and the words around both; returns how many
    labels found no place."""
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
                layers.points(axes, layer, panel, aside * ASIDE, strip=strip)
                if layer.labelled:
                    labels += [(m, axes) for m in layer.marks if (m.y is None) == strip]
            elif not strip:
                layers.other(axes, layer)
    _words(drawn, panel, frame, ground.bottom - size.below)
    whole = Box(ground.left, ground.bottom, frame.right, frame.top)
    return _names(drawn, labels, whole, ground.top)


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
    if panel.y.title and frame.top > frame.bottom:
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


def _names(drawn: Figure, labels: Sequence[tuple[Mark, Axes]], frame: Box, floor: float) -> int:
    """Write the label of each mark where there is room, with a line to it if it is far; returns how
    many found none."""
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
        how: dict[str, Any] = {"fontsize": style.SMALL, "color": style.INK, "path_effects": HALO}
        style.write(drawn, box.left, middle, name, va="center_baseline", **how)
        near = box.nearest((x, y))
        if abs(near[0] - x) + abs(near[1] - y) > 0.27:
            ends = [x / width, near[0] / width], [y / height, near[1] / height]
            drawn.add_artist(Line2D(*ends, color=style.FAINT, linewidth=0.7))
    return found.count(None)


def _keys(panels: Sequence[Panel], room: float) -> Iterator[list[tuple[float, Points | Line]]]:
    """Yield rows of the key: every name of a layer once."""
    named = {
        layer.name: layer
        for panel in panels
        for layer in panel.layers
        if isinstance(layer, Points | Line) and layer.name
    }
    row: list[tuple[float, Points | Line]] = []
    x = 0.0
    for name, layer in named.items():
        wide = 0.55 + style.widest([style.label(name, 90)], style.SMALL)
        if row and x + wide > room:
            yield row
            row, x = [], 0.0
        row.append((x, layer))
        x += wide
    if row:
        yield row
