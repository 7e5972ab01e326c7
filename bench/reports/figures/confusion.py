"""Confusion matrix of one backbone, readable from two classes to hundreds.

Rows are true classes, and the colour is the share of a row. Up to `MAX_WRITTEN` classes each cell
shows its number of images; up to `MAX_NAMED` the axes name the classes; beyond that the most
frequent mistakes are listed next to the matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.analysis.metrics.classification import Counts, Floats
from bench.analysis.scores import RANDOM_INIT
from bench.reports.figures import style
from bench.reports.figures.labelling import Box
from bench.reports.figures.style import label

MAX_WRITTEN = 20
MAX_NAMED = 50
MAX_LISTED = 14
FEW = 4  # classes whose cells have room for a share, too
HEADING = "images, true → predicted"
LUMINANCE = np.array([0.21, 0.72, 0.07])  # how bright red, green and blue look


def draw(title: str, counts: Counts, classes: tuple[str, ...], seeds: int) -> Figure:
    """Draw the matrix of one backbone; with several seeds, `counts` is their sum."""
    number = len(classes)
    many = number > MAX_WRITTEN
    names = [label(name, 24) for name in classes]
    size = _name_size(number)
    mixed_up = _mixed_up(counts, classes) if many else []
    title = label(title, 44)

    longest = style.widest(names, size) if number <= MAX_NAMED else 0.3
    roomy = number * (longest + 0.2) if number <= FEW else 0.0
    side = min(8.4, max(2.6, roomy, (0.17 if many else 0.46) * number))
    upright = number > MAX_NAMED or longest < side / number - 0.1
    left, top, bottom = 0.62 + longest, 0.72, 0.55 + (0.14 if upright else longest)
    right = 0.5 + style.widest([HEADING, *mixed_up], style.SMALL) if many else 0.3
    title_width = style.widest([title], style.TITLE, "bold")
    width, height = max(left + side + right, title_width + 0.6), bottom + side + top

    drawn = style.figure(width, height)
    axes = style.panel(drawn, Box(left, bottom, left + side, bottom + side))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # Rare mistakes among many classes would be invisible on a linear scale.
    shown = np.sqrt(shares) if many else shares
    # Grey, because mistakes of random weights are meaningless.
    colours = "Greys" if title.endswith(f"({RANDOM_INIT})") else "Blues"
    image = axes.imshow(
        shown, cmap=colours, vmin=-0.03, vmax=1.1, aspect="auto", interpolation="nearest"
    )
    _ticks(axes, names, size, 0 if upright else 90)
    if many:
        _list(drawn, left + side + 0.3, bottom + side, mixed_up)
    else:
        _numbers(axes, counts, shares, image.to_rgba(shown))
    style.write(drawn, left + side / 2, 0.22, "predicted", ha="center")
    style.write(drawn, 0.2, bottom + side / 2, "true", rotation=90, va="center")
    about = f"{np.trace(counts):,} of {counts.sum():,} test images right"
    about += f", sum of {seeds} seeds" if seeds > 1 else ""
    about += "; colour: share of a row, square-root scale" if many else ""
    style.heading(drawn, min(left, width - title_width - 0.3), title, about)
    return drawn


def _name_size(number: int) -> float:
    return style.TEXT if number <= 12 else style.SMALL if number <= 30 else 6.0


def _ticks(axes: Axes, names: list[str], size: float, turn: float) -> None:
    if len(names) <= MAX_NAMED:
        font: dict[str, Any] = {"fontsize": size, "family": style.families()}
        axes.set_xticks(range(len(names)), names, rotation=turn, **font)
        axes.set_yticks(range(len(names)), names, **font)
    else:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(8, integer=True))
    axes.tick_params(length=0, labelcolor=style.INK, labelsize=size)
    axes.spines[:].set_visible(False)
    if len(names) <= MAX_WRITTEN:
        # White seams between the cells.
        seams, ends = np.arange(1, len(names)) - 0.5, (-0.5, len(names) - 0.5)
        axes.hlines(seams, *ends, color="white", linewidth=1.5)
        axes.vlines(seams, *ends, color="white", linewidth=1.5)
    else:
        axes.spines[:].set(visible=True, color=style.RULE)


def _numbers(axes: Axes, counts: Counts, shares: Floats, cells: Floats) -> None:
    few = len(counts) <= FEW
    for row, column in np.ndindex(*counts.shape):
        count = counts[row, column]
        if not count and not few:
            continue  # most cells are zero, and would hide the rest
        text = f"{count:,}\n{shares[row, column]:.1%}" if few else f"{count:,}"
        dark = cells[row, column, :3] @ LUMINANCE < 0.5
        colour = "white" if dark else style.INK if count else style.FAINT
        size = 11.0 if few else style.TEXT if len(counts) <= 12 else style.SMALL
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)


def _mixed_up(counts: Counts, classes: tuple[str, ...]) -> list[str]:
    """Write the most frequent mistakes, one a line."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    found = []
    for index in np.argsort(-wrong, axis=None, kind="stable")[:MAX_LISTED]:
        true, predicted = np.unravel_index(index, counts.shape)
        if wrong[true, predicted]:
            names = f"{label(classes[true], 24)} → {label(classes[predicted], 24)}"
            found.append(f"{wrong[true, predicted]:>4}   {names}")
    return found


def _list(drawn: Figure, x: float, y: float, lines: list[str]) -> None:
    how: dict[str, Any] = {"fontsize": style.SMALL, "va": "top"}
    style.write(drawn, x, y, "Most mixed up", weight="bold", color=style.INK, **how)
    style.write(drawn, x, y - 0.2, HEADING, **how)
    for place, line in enumerate(lines):
        style.write(drawn, x, y - 0.48 - 0.21 * place, line, color=style.INK, **how)
