"""Draws a chart as a picture from its specification. Lengths are in inches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from bench.reports.charts import Cells, Chart, Line, Mark, Panel, Points
from bench.reports.figures import style
from bench.reports.figures.axes import column_names, draw_panel, legend_handle, names_fit, row_names
from bench.reports.figures.style import Box
from bench.reports.ticks import scale_axes

MAX_PANELS = 12
WIDE, SQUARE, HALF, PAGE = 6.4, 1.75, 3.3, 8.6  # widths: a single panel, one of several, all
ROW, CELL, BARE = 0.3, 0.42, 4.4  # sizes: a row, a cell with text, all cells without texts
FEW, LARGE = 4, (1.15, 0.75)  # up to so many columns of two-line cells have large cells
STRIP, MARGIN, LINE = 0.65, 0.3, 0.2
# The label of a mark is written at one of these distances and directions, with a gap around it.
GAP = 0.03
DISTANCES = np.array([0.11, 0.2, 0.32, 0.46, 0.62, 0.8, 1.0])
DIRECTIONS = 16
HALO = (withStroke(linewidth=3, foreground="white"),)  # keeps labels readable on top of lines


@dataclass(frozen=True)
class _Size:
    """The size of a panel and of the space around it."""

    width: float
    height: float
    left: float
    above: float
    below: float
    strip: float


@style.styled
def draw(chart: Chart) -> Figure:
    """Draw the first of the alternatives, or a grid of up to `MAX_PANELS` panels."""
    panels = [scale_axes(panel) for panel in chart.panels[:MAX_PANELS]]
    if chart.choice:
        panels = [replace(panels[0], title="")]
    sizes = [_measure(panel, alone=len(panels) == 1) for panel in panels]
    across = max(size.left + size.width + MARGIN for size in sizes)
    down = max(size.above + size.height + size.strip + size.below for size in sizes)
    together = sum(panel.title == panels[0].title for panel in panels)
    columns = min(len(panels), max(together, int(PAGE / across) // together * together))
    title = style.drawable(chart.title, 60)
    width = max(columns * across + 0.1, 0.6 + style.max_width([title], style.TITLE, "bold"), 4.6)
    notes = _note_lines(chart, panels, width - 2 * MARGIN)
    key = _legend(panels)
    key_columns = int((width - 2 * MARGIN) / (0.55 + style.max_width(key))) or 1
    key_top = 0.5 + 0.16 * len(notes)
    top = key_top + LINE * -(-len(key) // key_columns) + 0.1
    height = top + -(-len(panels) // columns) * down + 0.1
    drawn = Figure(figsize=(width, height))
    nameless = 0
    for number, (panel, size) in enumerate(zip(panels, sizes, strict=True)):
        left = number % columns * across + size.left
        ceiling = height - top - number // columns * down - size.above
        frame = Box(left, ceiling - size.height, left + size.width, ceiling)
        nameless += _draw_panel(drawn, panel, size, frame)
    if nameless:
        about = f"no room for {nameless} name{'s' * (nameless > 1)}"
        style.write(drawn, MARGIN, 0.08, about)
    style.heading(drawn, MARGIN, title, "\n".join(notes))
    drawn.legend(
        handles=list(key.values()),
        loc="upper left",
        bbox_to_anchor=(MARGIN / width, 1 - key_top / height),
        ncols=key_columns,
        frameon=False,
        labelcolor=style.INK,
        borderpad=0,
        borderaxespad=0,
        handlelength=2.25,
        labelspacing=0.65,
    )
    return drawn


def _note_lines(chart: Chart, panels: Sequence[Panel], room: float) -> list[str]:
    which = f"{chart.choice}: {chart.panels[0].title}." if chart.choice else ""
    parts = [chart.note, which, panels[0].note if len(panels) == 1 else ""]
    if not chart.choice and len(chart.panels) > len(panels):
        parts.append(f"Only the first {len(panels)} of {len(chart.panels)} panels.")
    return style.wrap(" ".join(filter(None, parts)), room)


def _legend(panels: Sequence[Panel]) -> dict[str, Line2D]:
    """Return the entries of the key, one for each name of a layer."""
    layers = (layer for panel in panels for layer in panel.layers)
    lines = [legend_handle(one) for one in layers if isinstance(one, Points | Line) and one.name]
    return {str(line.get_label()): line for line in lines}


def _measure(panel: Panel, *, alone: bool) -> _Size:
    cells = next((layer for layer in panel.layers if isinstance(layer, Cells)), None)
    points = [layer for layer in panel.layers if isinstance(layer, Points)]
    rows, columns = row_names(panel), column_names(panel)
    width = WIDE if alone else SQUARE if panel.height > 0.8 else HALF
    height = len(rows) * ROW if rows else width * panel.height
    # More labels need more room.
    many = min(40, max(0, sum(len(one.marks) for one in points if one.labelled) - 12))
    width, height = width + 0.08 * many, height + 0.09 * many
    below = 0.3 + (0.22 if panel.x.title else 0.0)
    if cells is not None and cells.texts:
        lines = [text.split("\n") for row in cells.texts for text in row]
        few = len(columns) <= FEW and max(map(len, lines)) > 1
        cell = max(
            CELL, 0.12 + style.max_width(line for one in lines for line in one), LARGE[0] * few
        )
        named = max(cell, 0.1 + style.max_width(columns))
        width = len(columns) * (named if len(columns) * named <= WIDE else cell)
        height = len(rows) * max(ROW, 0.02 + 0.14 * max(map(len, lines)), LARGE[1] * few)
    elif cells is not None:
        width = height = max(BARE, 0.13 * len(rows) * any(rows))
    if columns and not names_fit(columns, width):
        below += style.max_width(columns)
    marks = [mark for one in points for mark in one.marks]
    strip = [mark for mark in marks if mark.y is None]
    if strip and len(strip) == len(marks):
        height = 0.0
    left = style.max_width(rows) if rows else 0.32
    above = 0.14 + LINE * sum(map(bool, (panel.title, panel.spans, panel.y.title)))
    deep = STRIP + 0.1 * min(20, max(0, len(strip) - 3)) if strip else 0.0
    return _Size(width, height, MARGIN + left + 0.1, above, below, deep)


def _draw_panel(drawn: Figure, panel: Panel, size: _Size, frame: Box) -> int:
    """Draw a panel in its frame, the strip below it, and the texts around both; return how many
    labels found no place."""
    ground = Box(frame.left, frame.bottom - size.strip, frame.right, frame.bottom)
    parts = [(style.panel(drawn, frame), False)] if size.height else []
    if size.strip:
        parts.append((style.panel(drawn, ground), True))
        style.write(drawn, frame.left + 0.05, ground.top - 0.14, panel.strip)
    labels: list[tuple[Mark, Axes]] = []
    for axes, strip in parts:
        draw_panel(axes, panel, strip=strip)
        for layer in panel.layers:
            if isinstance(layer, Points) and layer.labelled:
                labels += [(m, axes) for m in layer.marks if (m.y is None) == strip]
    if len(parts) == 2:
        parts[0][0].tick_params(labelbottom=False)
    _write_titles(drawn, panel, frame, ground.bottom - size.below)
    whole = Box(ground.left, ground.bottom, frame.right, frame.top)
    return _write_labels(drawn, labels, whole, ground.top)


def _write_titles(drawn: Figure, panel: Panel, frame: Box, floor: float) -> None:
    """Write the titles of a panel and its axes, and the names of its spans."""
    x, y = frame.left - 0.3 * (not panel.y.names), frame.top + 0.1
    low = panel.x.low if panel.x.low is not None else 0.0
    high = panel.x.high if panel.x.high is not None else float(len(panel.x.names))
    scale = (frame.right - frame.left) / (high - low)
    for span in panel.spans:
        name = style.fit(span.name, 40, (span.end - span.start) * scale - 0.06)
        middle = frame.left + ((span.start + span.end) / 2 - low) * scale
        style.write(drawn, middle, y, name, ha="center")
    y += LINE * bool(panel.spans)
    if panel.y.title and frame.top > frame.bottom:
        style.write(drawn, x, y, panel.y.title)
        y += LINE
    title = style.fit(panel.title, 60, frame.right - frame.left + 0.2, weight="bold")
    style.write(drawn, x, y, title, weight="bold", color=style.INK)
    style.write(drawn, (frame.left + frame.right) / 2, floor + 0.04, panel.x.title, ha="center")


def _write_labels(
    drawn: Figure, labels: Sequence[tuple[Mark, Axes]], frame: Box, floor: float
) -> int:
    """Write the label of each mark where there is room, with a line to the mark if it is far away;
    return how many labels found no place."""
    points, obstacles = [], [Box(frame.left, floor - 0.16, frame.left + 1.6, floor)]
    for mark, axes in labels:
        heights = (0.42,) * 3 if mark.y is None else (mark.y, *(mark.interval or (mark.y,) * 2))
        (x, y), (_, low), (_, high) = (
            axes.transData.transform((mark.x, height)) / style.DPI for height in heights
        )
        points.append((x, y))
        obstacles += [Box(x, y, x, y).grow(0.06), Box(x - 0.02, low, x + 0.02, high)]
    names = [style.drawable(mark.label, 34) for mark, _ in labels]
    sizes = [(style.max_width([name]), style.SMALL / 72) for name in names]
    found = place(points, sizes, obstacles, frame)
    for name, (x, y), box in zip(names, points, found, strict=True):
        if box is None:
            continue
        middle = (box.bottom + box.top) / 2
        words = {"color": style.INK, "path_effects": HALO, "va": "center_baseline"}
        style.write(drawn, box.left, middle, name, **words)
        # The point of the label that is closest to the mark.
        across = min(max(x, box.left), box.right)
        up = min(max(y, box.bottom), box.top)
        if abs(across - x) + abs(up - y) > 0.27:
            width, height = drawn.get_size_inches()
            ends = [x / width, across / width], [y / height, up / height]
            drawn.add_artist(Line2D(*ends, color=style.FAINT, linewidth=0.7))
    return found.count(None)


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    obstacles: Sequence[Box],
    frame: Box,
) -> list[Box | None]:
    """Return a free box near each point for its label; `None` if there is none.

    Earlier points have the first choice, so the most important should come first.
    """
    taken = np.array(obstacles).reshape(-1, 4)
    found: list[Box | None] = []
    for point, size in zip(points, sizes, strict=True):
        boxes = _candidates(np.array(point), np.array(size))
        low, high = boxes[:, :2] - GAP, boxes[:, 2:] + GAP
        inside = np.all((low >= frame[:2]) & (high <= frame[2:]), axis=1)
        crossing = np.all((low[:, None] < taken[:, 2:]) & (taken[:, :2] < high[:, None]), axis=2)
        free = np.flatnonzero(inside & ~np.any(crossing, axis=1))
        found.append(Box(*boxes[free[0]].tolist()) if len(free) else None)
        taken = np.concatenate([taken, boxes[free[:1]]])
    return found


def _candidates(point: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return candidate boxes around a point: near ones first, those on the right before the
    left."""
    step = np.arange(DIRECTIONS)
    # 0, 1, -1, 2, -2, ... sixteenths of a turn away from due right.
    turn = (step + 1) // 2 * np.where(step % 2, 1, -1) * 2 * np.pi / DIRECTIONS
    way = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    corner = point + DISTANCES[:, None, None] * way - size * (1 - way) / 2
    return np.concatenate([corner, corner + size], axis=2).reshape(-1, 4)
