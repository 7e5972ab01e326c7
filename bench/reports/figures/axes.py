"""The axes of a panel: ranges, ticks and their words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import log10
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    Locator,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
)

from bench.reports.charts import Axis, Cells, Line, Panel, Points, Spread
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
    values = list(_values(panel, name))
    if axis.names or not values:
        return
    low, high = _reach(axis, min(values), max(values))
    if axis.log:
        (axes.set_xscale if name == "x" else axes.set_yscale)("log")
    (axes.set_xlim if name == "x" else axes.set_ylim)(low, high)
    box = axes.get_position()
    drawn_on = axes.figure.get_size_inches()  # type: ignore[union-attr]
    inches = box.width * drawn_on[0] if name == "x" else 1.5 * box.height * drawn_on[1]
    ticks: Locator = MaxNLocator(min(6, max(3, round(1.6 * inches))), integer=axis.whole)
    if axis.ticks:
        ticks = FixedLocator(axis.ticks)
    elif axis.log:
        ticks = FixedLocator(_round_numbers(low, high))
    drawn = axes.xaxis if name == "x" else axes.yaxis
    drawn.set_major_locator(ticks)
    drawn.set_minor_locator(NullLocator())
    drawn.set_major_formatter(
        PercentFormatter(1.0) if axis.percent else FuncFormatter(lambda v, _: _plain(v))
    )


def _plain(value: float) -> str:
    return f"{value / 1e6:,.4g} M" if abs(value) >= 1e6 else f"{float(f'{value:.4g}'):,.10g}"


def _reach(axis: Axis, low: float, high: float) -> tuple[float, float]:
    """Return the ends of an axis: as far as the marks reach, unless the axis says how far."""
    if axis.log:
        margin = max(1.12, (high / low) ** 0.07)
        low, high = low / margin, high * margin
    else:
        margin = 0.06 * (high - low) or 0.005
        low, high = low - margin, high + margin
        if axis.percent:
            low, high = max(0.0, low), min(1.0, high)
    return (low if axis.low is None else axis.low, high if axis.high is None else axis.high)


def _values(panel: Panel, name: str) -> Iterator[float]:
    for layer in panel.layers:
        found: Iterator[float | None] = iter(())
        match layer:
            case Spread():
                found = iter(layer.ticks if name == "x" else ())
            case Line():
                found = iter(getattr(layer, name))
            case Points():
                found = (getattr(mark, name) for mark in layer.marks)
                if (name == "x") == bool(panel.y.names):
                    yield from (end for m in layer.marks for end in m.interval or ())
        yield from (value for value in found if value is not None)


def _round_numbers(lower: float, upper: float) -> list[float]:
    """Return ticks at round numbers on a logarithmic axis, at least four."""
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        decades = range(int(log10(lower)) - 2, int(log10(upper)) + 2)
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        within = [tick for tick in ticks if lower <= tick <= upper]
        if len(within) >= 4:
            return within
    return [float(tick) for tick in MaxNLocator(6).tick_values(lower, upper)]
