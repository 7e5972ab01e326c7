"""The layers of a panel as matplotlib draws them: points, lines, cells and spreads."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.reports.charts import Cells, Layer, Line, Panel, Points, Spread
from bench.reports.figures import style

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.RED, style.INK)
SHAPES = ("o", "s", "^", "D", "X")
LUMINANCE = np.array([0.21, 0.72, 0.07])  # how bright red, green and blue look


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


def points(axes: Axes, layer: Points, panel: Panel, aside: float, *, strip: bool) -> None:
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


def other(axes: Axes, layer: Layer) -> None:
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
        layer.shades, cmap="Blues", vmin=-0.03, vmax=1.1, aspect="auto", interpolation="nearest"
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


def key(drawn: Figure, x: float, y: float, layer: Points | Line) -> None:
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
    style.write(drawn, x + 0.32, y, style.label(layer.name, 90), **how)
