"""Accuracy against the number of training images, a line a backbone, with 95% intervals."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from bench.analysis.learning import LearningCurves, Point
from bench.reports.figures import style
from bench.reports.figures.labelling import Box

# Okabe and Ito's palette without its yellow, which is hard to see on white.
COLOURS = (style.BLUE, style.ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", style.INK)
LINES = ("-", (0, (4, 2)), (0, (1, 1.5)))  # for more backbones than colours
LEFT, BOTTOM, TOP, ACROSS, UP = 0.75, 0.55, 0.75, 4.6, 3.0
APART = 0.17  # inches between two names
SIDESTEP = 0.012  # the distance between the backbones' intervals, as a share of the width


def draw(found: LearningCurves) -> Figure:
    """Draw accuracy by images, on a logarithmic axis because the steps are multiples."""
    names = {label: style.label(label, 34) for label in found.points}
    right = 0.6 + style.widest(names.values(), style.SMALL)
    up = max(UP, APART * (len(names) + 1))
    drawn = style.figure(LEFT + ACROSS + right, BOTTOM + up + TOP)
    frame = Box(LEFT, BOTTOM, LEFT + ACROSS, BOTTOM + up)
    axes = style.panel(drawn, frame)
    style.plain(axes)
    _scales(axes, found)
    ends = []
    for place, (label, points) in enumerate(found.points.items()):
        colour, line = COLOURS[place % len(COLOURS)], LINES[place // len(COLOURS) % len(LINES)]
        aside = (place - (len(names) - 1) / 2) * SIDESTEP
        x = [_aside(axes, point.images, aside) for point in points]
        _curve(axes, x, points, colour, line)
        height = axes.transData.transform((x[-1], points[-1].accuracy))[1] / style.DPI
        ends.append((height, names[label], colour))
    _names(drawn, ends, frame)
    style.write(drawn, LEFT + ACROSS / 2, 0.14, "training images", ha="center")
    style.write(drawn, 0.12, BOTTOM + up / 2, "test accuracy", rotation=90, va="center")
    about = "bars: 95% intervals, shifted to avoid overlaps"
    style.heading(drawn, LEFT, "Learning curves", about)
    return drawn


def _scales(axes: Axes, found: LearningCurves) -> None:
    sizes = found.sizes
    axes.set_xscale("log")
    axes.set_xlim(sizes[0] / 1.25, sizes[-1] * 1.25)
    axes.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    points = [point for curve in found.points.values() for point in curve]
    low, high = min(p.low for p in points), max(p.high for p in points)
    margin = max(0.005, 0.06 * (high - low))
    axes.set_ylim(max(0.0, low - margin), min(1.0, high + margin))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _aside(axes: Axes, images: int, share: float) -> float:
    low, high = axes.get_xlim()
    return float(images * (high / low) ** share)


def _curve(
    axes: Axes, x: Sequence[float], points: Sequence[Point], colour: str, line: object
) -> None:
    for across, point in zip(x, points, strict=True):
        axes.plot([across] * 2, [point.low, point.high], color=colour, linewidth=1.0, alpha=0.5)
    (drawn,) = axes.plot(x, [point.accuracy for point in points], color=colour, linewidth=1.5)
    drawn.set(linestyle=line, marker="o", markersize=4, clip_on=False)


def _names(drawn: Figure, ends: Sequence[tuple[float, str, str]], frame: Box) -> None:
    """Write each name next to its line's end, moved up or down to avoid overlaps."""
    ordered = sorted(ends)
    places: list[float] = []
    for height, _, _ in ordered:
        places.append(max(height, places[-1] + APART) if places else height)
    over = max(0.0, places[-1] - frame.top)
    for number in range(len(places) - 1, -1, -1):
        least = places[number + 1] - APART if number + 1 < len(places) else places[-1] - over
        places[number] = min(places[number], least)
    width, height_of_all = drawn.get_size_inches()
    for (end, name, colour), place in zip(ordered, places, strict=True):
        across = [(frame.right + 0.05) / width, (frame.right + 0.3) / width]
        up = [end / height_of_all, place / height_of_all]
        drawn.add_artist(Line2D(across, up, color=colour, linewidth=0.7))
        style.write(
            drawn,
            frame.right + 0.36,
            place,
            name,
            fontsize=style.SMALL,
            color=style.INK,
            va="center_baseline",
        )
