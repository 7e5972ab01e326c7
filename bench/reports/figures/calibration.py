"""Reliability diagrams: accuracy against confidence.

One small panel a backbone, before and after temperature scaling; on the diagonal, confidence equals
accuracy. Only pretrained backbones: the confidence of random weights is meaningless.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, PercentFormatter

from bench.analysis.findings import Findings
from bench.analysis.metrics.calibration import BINS, Bin, reliability
from bench.analysis.metrics.classification import Floats, Guesses
from bench.analysis.statistics import wilson
from bench.reports.figures import style
from bench.reports.figures.labelling import Box

SIDE, ACROSS, DOWN = 1.6, 0.45, 0.55  # inches: of a panel, and between two
LEFT, TOP, BOTTOM, RIGHT = 0.75, 1.05, 0.55, 0.3
COLUMNS = 4
MIN_WIDTH = 5.4  # what the heading needs
MAX_PANELS = 12
BEFORE, AFTER = style.BLUE, style.ORANGE


def draw(findings: Findings) -> Figure:
    """Draw a panel for each pretrained backbone, best first; seeds are pooled."""
    labels = [label for label in findings.records if label in findings.guesses]
    shown = labels[:MAX_PANELS]
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    width = max(MIN_WIDTH, LEFT + columns * (SIDE + ACROSS) - ACROSS + RIGHT)
    height = TOP + rows * (SIDE + DOWN) - DOWN + BOTTOM
    drawn = style.figure(width, height)
    # The highest of n probabilities is at least 1/n.
    least = 0.5 if len(findings.run.dataset.classes) == 2 else 0.0
    for number, name in enumerate(shown):
        left = LEFT + number % columns * (SIDE + ACROSS)
        top = height - TOP - number // columns * (SIDE + DOWN)
        axes = style.panel(drawn, Box(left, top - SIDE, left + SIDE, top))
        _panel(axes, findings.guesses[name], findings.scaled.get(name, ()), least)
        axes.tick_params(axis="x", pad=8)
        axes.tick_params(axis="y", labelleft=number % columns == 0)
        title = style.fitting(name, 40, SIDE, style.SMALL)
        style.write(drawn, left, top + 0.09, title, fontsize=style.SMALL, color=style.INK)
    middle = LEFT + (columns * (SIDE + ACROSS) - ACROSS) / 2
    style.write(drawn, middle, 0.12, "probability of the predicted class", ha="center")
    style.write(
        drawn, 0.12, (height - TOP + BOTTOM) / 2, "share that is right", rotation=90, va="center"
    )
    about = f"{BINS} bins of confidence, larger with more images; below the diagonal: too sure"
    more = f"; the first {len(shown)} of {len(labels)}" if len(shown) < len(labels) else ""
    style.heading(drawn, LEFT, "Calibration", about + more)
    _key(drawn, height - 0.66)
    return drawn


def _panel(axes: Axes, seeds: Sequence[Guesses], after: Sequence[Floats], least: float) -> None:
    style.plain(axes)
    axes.set(xlim=(least, 1.0), ylim=(0.0, 1.0))
    axes.xaxis.set_major_locator(FixedLocator([least, (1 + least) / 2, 1.0]))
    axes.yaxis.set_major_locator(FixedLocator([0.0, 0.5, 1.0]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.plot([least, 1], [least, 1], color=style.FAINT, linewidth=0.8, linestyle=(0, (3, 3)))
    right = np.concatenate([one.predicted == one.labels for one in seeds])
    before = reliability(right, np.concatenate([one.confidence for one in seeds]))
    x: list[float] = []
    y: list[float] = []
    for one in before:
        # The seeds answered the same images: one sample, not several.
        images = max(1, round(one.images / len(seeds)))
        x += [one.confidence, one.confidence, nan]
        y += [*wilson(one.right * images, images), nan]
    # All as one broken line: drawing has a fixed cost for each line.
    axes.plot(x, y, color=BEFORE, linewidth=1.0, alpha=0.35)
    _points(axes, before, BEFORE, filled=True)
    if len(after) == len(seeds):
        _points(axes, reliability(right, np.concatenate(after)), AFTER, filled=False)


def _points(axes: Axes, bins: Sequence[Bin], colour: str, *, filled: bool) -> None:
    """Draw a point a bin, its area by the images in it: small bins are unreliable."""
    shares = np.array([one.images for one in bins]) / sum(one.images for one in bins)
    axes.scatter(
        [one.confidence for one in bins],
        [one.right for one in bins],
        s=8 + 90 * shares,
        facecolor=colour if filled else "none",
        edgecolor=colour,
        linewidth=1.2,
        clip_on=False,
        zorder=3,
    )


def _key(drawn: Figure, y: float) -> None:
    width, height = drawn.get_size_inches()
    for x, name, colour in (
        (LEFT, "as it is, 95% intervals", BEFORE),
        (LEFT + 1.9, "after temperature scaling", AFTER),
    ):
        across = [x / width, (x + 0.25) / width]
        drawn.add_artist(Line2D(across, [y / height] * 2, color=colour, linewidth=2))
        how = {"fontsize": style.SMALL, "color": style.INK, "va": "center_baseline"}
        style.write(drawn, x + 0.32, y, name, **how)
