"""Accuracy against latency: what a more accurate backbone costs.

Pretrained backbones are drawn at their accuracy, with its 95% interval. The accuracy of random
weights is meaningless, so those are hollow points in a strip that shows only latency.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log10
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
)

from bench.analysis.findings import Findings
from bench.analysis.scores import RANDOM_INIT
from bench.reports.figures import style
from bench.reports.figures.labelling import Box, place
from bench.reports.figures.style import label

LEFT, RIGHT, TOP, BOTTOM, BETWEEN = 0.75, 0.3, 0.75, 0.55, 0.14  # inches around the panels
POINT = 0.11  # inches across
LABEL_SIZE = style.SMALL


@dataclass(frozen=True)
class _Panel:
    """Axes and the rectangle they fill, in inches."""

    axes: Axes
    frame: Box
    rows: pd.DataFrame
    height_of: Callable[[pd.Series], tuple[float, float, float]]  # low, middle, high


def drawable(findings: Findings) -> pd.DataFrame:
    """Return the backbones that have both figures."""
    return findings.backbones.dropna(subset=["accuracy", "latency_p50_ms"])


def draw(findings: Findings) -> Figure:
    """Draw one point a backbone; several seeds as their mean."""
    rows = drawable(findings)
    unranked = rows["weights"] == RANDOM_INIT
    ranked, strip = rows[~unranked], rows[unranked]
    across = 6.9 + 0.08 * min(40, max(0, len(rows) - 12))
    up = 3.3 + 0.09 * min(40, max(0, len(ranked) - 10)) if len(ranked) else 0.0
    low = 0.65 + 0.1 * min(20, max(0, len(strip) - 3)) if len(strip) else 0.0
    gap = BETWEEN if len(ranked) and len(strip) else 0.0
    drawn = style.figure(LEFT + across + RIGHT, BOTTOM + low + gap + up + TOP)

    panels = []
    if len(strip):
        frame = Box(LEFT, BOTTOM, LEFT + across, BOTTOM + low)
        panels.append(_Panel(style.panel(drawn, frame), frame, strip, lambda row: (0.5, 0.5, 0.5)))
        _as_strip(panels[-1].axes)
    if len(ranked):
        frame = Box(LEFT, BOTTOM + low + gap, LEFT + across, BOTTOM + low + gap + up)
        panels.append(_Panel(style.panel(drawn, frame), frame, ranked, _accuracy))
        _as_accuracy(panels[-1].axes, ranked)
        middle = (frame.bottom + frame.top) / 2
        style.write(drawn, 0.12, middle, "test accuracy", rotation=90, va="center")
    left_out = sum(_draw_panel(drawn, panel, rows) for panel in panels)

    about = "median latency of one image, ms (further left is faster)"
    style.write(drawn, LEFT + across / 2, 0.14, about, ha="center")
    for panel in panels[1:]:
        panel.axes.tick_params(labelbottom=False)
    style.heading(drawn, LEFT, *_words(findings, len(ranked), left_out))
    return drawn


def _words(findings: Findings, ranked: int, left_out: int) -> tuple[str, str]:
    missing = f"; {left_out} names had no room" if left_out else ""
    if not ranked:
        return "Latency", f"no pretrained backbone, so no accuracy to show{missing}"
    over = " and seeds" if len(findings.verdict.seeds) > 1 else ""
    take = findings.verdict.recommended
    named = f"; recommended: {label(take, 34)}" if take and ranked > 1 else ""
    about = f"bars: 95% interval over the test images{over}{named}{missing}"
    return "Accuracy against latency", about


def _as_strip(axes: Axes) -> None:
    style.plain(axes)
    axes.set_ylim(0, 1)
    axes.set_facecolor(style.BAND)
    axes.yaxis.set_major_locator(FixedLocator([0.5]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda _, __: "random\ninit,\nnot ranked"))
    axes.grid(axis="y", visible=False)
    axes.spines[:].set_visible(False)


def _as_accuracy(axes: Axes, rows: pd.DataFrame) -> None:
    style.plain(axes)
    bottom, top = rows["accuracy_low"].min(), rows["accuracy_high"].max()
    margin = max(0.005, 0.08 * (top - bottom))
    axes.set_ylim(max(0.0, bottom - margin), min(1.0, top + margin))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _accuracy(row: pd.Series) -> tuple[float, float, float]:
    return row["accuracy_low"], row["accuracy"], row["accuracy_high"]


def _draw_panel(drawn: Figure, panel: _Panel, all_rows: pd.DataFrame) -> int:
    """Draw the panel's points and names; returns how many names found no place."""
    axes, latency = panel.axes, all_rows["latency_p50_ms"]
    # Room at both ends for a name next to the outermost point.
    margin = max(1.25, (latency.max() / latency.min()) ** 0.16)
    lower, upper = latency.min() / margin, latency.max() * margin
    axes.set_xscale("log")
    axes.set_xlim(lower, upper)
    axes.xaxis.set_major_locator(FixedLocator(_round_numbers(lower, upper)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))

    points, obstacles = [], []
    for _, row in panel.rows.iterrows():
        hollow = row["weights"] == RANDOM_INIT
        x, heights = row["latency_p50_ms"], panel.height_of(row)
        _point(axes, x, heights, hollow)
        (across, low), (_, middle), (_, high) = (
            axes.transData.transform((x, y)) / style.DPI for y in heights
        )
        points.append((across, middle))
        obstacles.append(Box(across, middle, across, middle).grown(POINT / 2))
        obstacles.append(Box(across - 0.02, low, across + 0.02, high))
    # The strip says "random init" once for all that stand in it.
    names = [label(n.removesuffix(f" ({RANDOM_INIT})"), 34) for n in panel.rows["label"]]
    sizes = [(style.widest([name], LABEL_SIZE), LABEL_SIZE / 72) for name in names]
    found = place(points, sizes, obstacles, panel.frame)
    for name, point, box in zip(names, points, found, strict=True):
        if box is not None:
            _name(drawn, name, point, box)
    return found.count(None)


def _round_numbers(lower: float, upper: float) -> list[float]:
    """Return ticks at round numbers on a logarithmic axis, at least four."""
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        decades = range(int(log10(lower)) - 2, int(log10(upper)) + 2)
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        within = [tick for tick in ticks if lower <= tick <= upper]
        if len(within) >= 4:
            return within
    return [float(tick) for tick in MaxNLocator(6).tick_values(lower, upper)]


def _point(axes: Axes, x: float, heights: tuple[float, float, float], hollow: bool) -> None:
    low, middle, high = heights
    colour = style.SOFT_INK if hollow else style.BLUE
    axes.plot([x, x], [low, high], color=colour, linewidth=1.3, alpha=0.7, clip_on=False)
    axes.plot(
        x,
        middle,
        marker="o",
        markersize=7.5,
        markerfacecolor="white" if hollow else colour,
        markeredgecolor=colour,
        markeredgewidth=1.4,
        clip_on=False,
    )


def _name(drawn: Figure, name: str, point: tuple[float, float], box: Box) -> None:
    width, height = drawn.get_size_inches()
    how: dict[str, Any] = {"fontsize": LABEL_SIZE, "color": style.INK, "va": "center_baseline"}
    style.write(drawn, box.left, (box.bottom + box.top) / 2, name, **how)
    x, y = box.nearest(point)
    if abs(x - point[0]) + abs(y - point[1]) > 2.5 * POINT:
        drawn.add_artist(
            Line2D(
                [point[0] / width, x / width],
                [point[1] / height, y / height],
                color=style.FAINT,
                linewidth=0.7,
            )
        )
