"""The limits, ticks and tick labels of a panel's axes, for the page and for pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil, floor, log10

from bench.reports.charts import Axis, Line, Panel, Points, Spread

MOST = 6  # steps between ticks
MOST_ACROSS = 13  # if the y axis has names: the x axis is as wide as the page
MOST_WHOLE = 10  # at whole numbers, whose labels are short
FEWEST = 4  # ticks of a logarithmic axis


def scale_axes(panel: Panel) -> Panel:
    """Return the panel with the limits and ticks of its numeric axes set."""
    most = MOST_ACROSS if panel.y.names else MOST_WHOLE if panel.x.whole else MOST
    x = _scale_axis(panel.x, list(_values(panel, "x")), most)
    return replace(panel, x=x, y=_scale_axis(panel.y, list(_values(panel, "y")), MOST))


def _scale_axis(axis: Axis, values: list[float], most: int) -> Axis:
    if axis.names or not values:
        return axis
    low, high = _limits(axis, min(values), max(values))
    ticks = axis.ticks or tuple(
        _logarithmic_ticks(low, high) if axis.log else _round_ticks(low, high, most)
    )
    ticks = tuple(tick for tick in ticks if not axis.whole or tick.is_integer())
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    digits = max(0, ceil(-log10(step) - 2 - 1e-9))  # decimals of a percentage
    words = (f"{100 * tick:.{digits}f}%" if axis.percent else _tick_label(tick) for tick in ticks)
    return replace(axis, low=low, high=high, ticks=ticks, words=tuple(words))


def _limits(axis: Axis, low: float, high: float) -> tuple[float, float]:
    """Return the limits that the axis gives, or else those of the data with a margin."""
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


def _round_ticks(low: float, high: float, most: int) -> list[float]:
    rough = ((high - low) or 1.0) / most
    power = 10.0 ** floor(log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    places = range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)
    return [float(f"{place * step:.10g}") for place in places]


def _logarithmic_ticks(low: float, high: float) -> list[float]:
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        decades = range(int(log10(low)) - 2, int(log10(high)) + 2)
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        within = [tick for tick in ticks if low <= tick <= high]
        if len(within) >= FEWEST:
            return within
    return _round_ticks(low, high, MOST)


def _tick_label(value: float) -> str:
    return f"{value / 1e6:,.4g} M" if abs(value) >= 1e6 else f"{float(f'{value:.4g}'):,.10g}"
