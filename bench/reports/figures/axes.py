"""Draws a panel with matplotlib: its axes, and its layers of points, lines, cells and spreads."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from bench.reports.charts import Axis, Cells, Layer, Line, Mark, Panel, Points, Spread
from bench.reports.figures import style

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.RED, style.INK)
SHAPES = ("o", "s", "^", "D", "X")
LUMINANCE = np.array([0.21, 0.72, 0.07])  # perceived brightness of red, green and blue
ROW_NAME, COLUMN_NAME = 40, 24  # characters
ASIDE = 0.05  # inches between the marks of two joined layers


def row_names(panel: Panel) -> list[str]:
    return [style.drawable(name, ROW_NAME) for name in panel.y.names]


def column_names(panel: Panel) -> list[str]:
    return [style.drawable(name, COLUMN_NAME) for name in panel.x.names]


def names_fit(names: Sequence[str], room: float) -> bool:
    """Return whether the names of columns fit next to each other into `room` inches."""
    return style.max_width(names) < room / len(names) - 0.08


def draw_panel(axes: Axes, panel: Panel, *, strip: bool = False) -> None:
    """Draw a panel or, with `strip`, the strip below it with the marks that have no y."""
    _set_up_axes(axes, panel, strip=strip)
    # Joined layers are shifted, so that their intervals do not hide each other.
    points = (layer for layer in panel.layers if isinstance(layer, Points))
    shifted = [one for one in points if one.joined and any(mark.interval for mark in one.marks)]
    for layer in panel.layers:
        if isinstance(layer, Points):
            aside = shifted.index(layer) - (len(shifted) - 1) / 2 if layer in shifted else 0.0
            if marks := [mark for mark in layer.marks if (mark.y is None) == strip]:
                _draw_points(axes, layer, marks, aside * ASIDE, rows=bool(panel.y.names))
        elif not strip:
            _draw_other(axes, layer)


def _set_up_axes(axes: Axes, panel: Panel, *, strip: bool) -> None:
    """Set the limits, ticks and grid of the axes."""
    cells = any(isinstance(layer, Cells) for layer in panel.layers)
    if panel.x.names:
        names = column_names(panel)
        width = axes.get_position().width * axes.figure.get_figwidth()  # type: ignore[union-attr]
        turn = 0 if names_fit(names, width) else 90
        axes.set_xticks(*_named_places(names), rotation=turn)
        axes.tick_params(axis="x", labelcolor=style.INK)
        axes.set_xlim(-0.5, len(names) - 0.5)
    else:
        _set_figure_axis(axes, "x", panel.x)
    if strip:
        axes.set_ylim(0, 1)
        axes.set_facecolor(style.BAND)
        axes.yaxis.set_major_locator(NullLocator())
    elif panel.y.names:
        axes.set_yticks(*_named_places(row_names(panel)))
        axes.tick_params(axis="y", labelcolor=style.INK)
        axes.set_ylim(len(panel.y.names) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
    else:
        _set_figure_axis(axes, "y", panel.y)
    if cells:
        axes.grid(visible=False)
        for span in panel.spans[1:]:
            axes.axvline(span.start - 0.5, color="white", linewidth=3)
    else:
        for span in panel.spans[1::2]:
            axes.axvspan(span.start, span.end, color=style.BAND, zorder=0, linewidth=0)
    if cells or strip:
        axes.spines[:].set_visible(False)


def _named_places(names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the positions with a name, and the names. Ticks are slow, and most may have no
    name."""
    places = [place for place, name in enumerate(names) if name]
    return places, [names[place] for place in places]


def _set_figure_axis(axes: Axes, name: str, axis: Axis) -> None:
    """Set the limits and ticks of a numeric axis."""
    if axis.low is None:
        return
    if axis.log:
        axes.set(**{f"{name}scale": "log"})
    drawn = axes.xaxis if name == "x" else axes.yaxis
    drawn.set_ticks(axis.ticks, axis.words)
    drawn.set_minor_locator(NullLocator())
    axes.set(**{f"{name}lim": (axis.low, axis.high)})


def colour_of(layer: Points | Line) -> str:
    return style.FAINT if layer.colour is None else COLOURS[layer.colour % len(COLOURS)]


def _marker_style(layer: Points) -> dict[str, Any]:
    """Return the marker of a layer: its own colour and shape; from the sixth layer on, hollow."""
    index, colour = layer.colour or 0, colour_of(layer)
    hollow = layer.hollow or index >= len(COLOURS)
    return {
        "marker": SHAPES[index % len(SHAPES)] if layer.joined else "o",
        "facecolor": "white" if hollow else colour,
        "edgecolor": colour,
    }


def _draw_points(
    axes: Axes, layer: Points, marks: Sequence[Mark], aside: float, *, rows: bool
) -> None:
    colour = colour_of(layer)
    y = [0.42 if mark.y is None else mark.y for mark in marks]
    x = [_shift(axes, mark.x, aside) for mark in marks]
    if layer.joined:
        axes.plot(x, y, color=colour, linewidth=1.4, clip_on=False)
    # All intervals are one broken line, because each line has a fixed drawing cost.
    ends: list[tuple[float, float]] = []
    for mark, across, up in zip(marks, x, y, strict=True):
        if mark.interval is not None and mark.y is not None:
            two = [(v, up) if rows else (across, v) for v in mark.interval]
            ends += [*two, (nan, nan)]
    if ends:
        axes.plot(*zip(*ends, strict=True), color=colour, linewidth=1.2, alpha=0.6, clip_on=False)
    radii = np.array([1.6 + 3.2 * np.sqrt(mark.size) for mark in marks]) - 0.8 * layer.joined
    axes.scatter(
        x, y, s=(2 * radii) ** 2, linewidth=1.3, clip_on=False, zorder=3, **_marker_style(layer)
    )


def _shift(axes: Axes, x: float, inches: float) -> float:
    if not inches:
        return x
    across, up = axes.transData.transform((x, 0.5))
    return float(axes.transData.inverted().transform((across + inches * style.DPI, up))[0])


def _draw_other(axes: Axes, layer: Layer) -> None:
    match layer:
        case Line():
            _draw_line(axes, layer)
        case Cells():
            _draw_cells(axes, layer)
        case Spread():
            low, high = layer.row - 0.3, layer.row + 0.3
            axes.vlines(layer.ticks, low, high, color=style.BLUE, linewidth=0.5, alpha=0.35)
            if layer.box is not None:
                first, middle, last = layer.box
                axes.fill_betweenx([low, high], first, last, color=style.BLUE, alpha=0.22, lw=0)
                axes.vlines([middle], low - 0.08, high + 0.08, color=style.INK, linewidth=1.8)


def _draw_line(axes: Axes, layer: Line) -> None:
    x, y = np.array(layer.x, np.float64), np.array(layer.y, np.float64)
    # A phase of one epoch is a point; a line through it would be invisible.
    gap = np.concatenate([[True], np.isnan(y), [True]])
    alone = np.flatnonzero(gap[:-2] & ~gap[1:-1] & gap[2:]).tolist()
    axes.plot(
        x,
        y,
        color=colour_of(layer),
        linewidth=0.9 if layer.colour is None else 1.2,
        linestyle=(0, (3, 2)) if layer.dashed else "-",
        drawstyle="steps-post" if layer.steps else "default",
        marker="o" if alone else "",
        markersize=2.5,
        markevery=alone,
    )


def _draw_cells(axes: Axes, layer: Cells) -> None:
    image = axes.imshow(
        layer.shades, cmap="Blues", vmin=-0.03, vmax=1.1, aspect="auto", interpolation="nearest"
    )
    if not layer.texts:
        return
    dark = image.to_rgba(layer.shades)[..., :3] @ LUMINANCE < 0.5
    for row, column in np.ndindex(*layer.shades.shape):
        colour = "white" if dark[row, column] else style.INK
        text = layer.texts[row][column]
        axes.text(column, row, text, ha="center", va="center", color=colour)


def legend_handle(layer: Points | Line) -> Line2D:
    """Return the entry of a layer in the key."""
    look: dict[str, Any] = {"color": colour_of(layer), "linewidth": 1.6}
    if isinstance(layer, Line):
        look["linestyle"] = (0, (3, 2)) if layer.dashed else "-"
    else:
        shape = _marker_style(layer)
        look |= {"linestyle": "-" if layer.joined else "", "marker": shape["marker"]}
        look |= {"markerfacecolor": shape["facecolor"], "markeredgecolor": shape["edgecolor"]}
    return Line2D([], [], markersize=5, label=style.drawable(layer.name, 90), **look)
