"""The axes of a panel as matplotlib draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from bench.reports.charts import Axis, Cells, Panel
from bench.reports.figures import style


def set_up(
    axes: Axes, panel: Panel, fits: Callable[[Sequence[str], float], bool], *, strip: bool = False
) -> Axes:
    """Give axes the ranges and ticks of a panel, or of the strip below it."""
    style.plain(axes)
    axes.tick_params(axis="x", pad=7)  # clear of the lowest figure of y
    cells = any(isinstance(layer, Cells) for layer in panel.layers)
    _figures(axes, panel, "x")
    if strip:
        axes.set_ylim(0, 1)
        axes.set_facecolor(style.BAND)
        axes.yaxis.set_major_locator(NullLocator())
        axes.spines[:].set_visible(False)
    elif panel.y.names:
        names = [style.label(name, 40) for name in panel.y.names]
        how: dict[str, Any] = {"fontsize": style.SMALL, "family": style.families()}
        axes.set_yticks(*_named(names), **how)
        axes.tick_params(axis="y", labelcolor=style.INK)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
    else:
        _figures(axes, panel, "y")
    if panel.x.names:
        names = [style.label(name, 24) for name in panel.x.names]
        box = axes.get_position()
        room = box.width * axes.figure.get_figwidth() / len(names)  # type: ignore[union-attr]
        turn = 0 if fits(panel.x.names, room) else 90
        how = {"fontsize": style.SMALL, "family": style.families()}
        axes.set_xticks(*_named(names), rotation=turn, **how)
        axes.tick_params(axis="x", labelcolor=style.INK)
        axes.set_xlim(-0.5, len(names) - 0.5)
    if cells:
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        for span in panel.spans[1:]:
            axes.axvline(span.start - 0.5, color="white", linewidth=3)
    else:
        for index, span in enumerate(panel.spans):
            if index % 2:
                axes.axvspan(span.start, span.end, color=style.BAND, zorder=0, linewidth=0)
    return axes


def _named(names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the places that have a name, with it: a tick takes time, and a thousand have none."""
    places = [place for place, name in enumerate(names) if name]
    return places, [names[place] for place in places]


def _figures(axes: Axes, panel: Panel, name: str) -> None:
    """Set the range and ticks of an axis of figures."""
    axis: Axis = panel.x if name == "x" else panel.y
    if axis.names or axis.low is None:
        return
    drawn = axes.xaxis if name == "x" else axes.yaxis
    if axis.log:
        axes.set(**{f"{name}scale": "log"})
    drawn.set_ticks(axis.ticks, axis.words)
    drawn.set_minor_locator(NullLocator())
    axes.set(**{f"{name}lim": (axis.low, axis.high)})
