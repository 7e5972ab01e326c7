"""Accuracy on corrupted images: a row a backbone, a cell for each corruption and strength."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bench.analysis.robustness import CorruptedAccuracy
from bench.reports.figures import style
from bench.reports.figures.confusion import LUMINANCE
from bench.reports.figures.labelling import Box

CELL, HIGH = 0.4, 0.3  # inches: across and up
LEFT, TOP, BOTTOM, RIGHT = 0.35, 1.05, 0.3, 0.3
MAX_NAME = 2.2


def draw(found: CorruptedAccuracy) -> Figure:
    """Draw the accuracies; the first column is the clean images."""
    labels = list(found.rows)
    names = [style.fitting(label, 40, MAX_NAME, style.SMALL) for label in labels]
    left = LEFT + style.widest(names, style.SMALL) + 0.1
    shares = np.array([[row.clean, *row.corrupted.ravel()] for row in found.rows.values()])
    columns = shares.shape[1]
    width, height = left + columns * CELL + RIGHT, TOP + len(labels) * HIGH + BOTTOM
    drawn = style.figure(width, height)
    floor = height - TOP - len(labels) * HIGH
    axes = style.panel(drawn, Box(left, floor, left + columns * CELL, height - TOP))
    image = axes.imshow(shares, cmap="Blues", vmin=min(0.5, shares.min()), vmax=1.08, aspect="auto")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    colours = image.to_rgba(shares)
    for row, column in np.ndindex(*shares.shape):
        dark = colours[row, column, :3] @ LUMINANCE < 0.5
        colour = "white" if dark else style.INK
        written = f"{100 * shares[row, column]:.0f}"
        how: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": style.SMALL}
        axes.text(column, row, written, color=colour, **how)
    # White lines separate the corruptions.
    seams = [0.5 + number * found.strengths for number in range(len(found.corruptions))]
    axes.vlines(seams, -0.5, len(labels) - 0.5, color="white", linewidth=3)
    for number, name in enumerate(names):
        y = floor + (len(labels) - 0.5 - number) * HIGH
        how = {"ha": "right", "va": "center_baseline", "fontsize": style.SMALL}
        style.write(drawn, left - 0.08, y, name, color=style.INK, **how)
    _heads(drawn, found, left, height - TOP + 0.06)
    about = "test accuracy, %; each corruption mild, medium and strong, from left to right"
    style.heading(drawn, LEFT, "Robustness", about)
    return drawn


def _heads(drawn: Figure, found: CorruptedAccuracy, left: float, y: float) -> None:
    style.write(drawn, left + CELL / 2, y, "none", ha="center", fontsize=style.SMALL)
    for number, kind in enumerate(found.corruptions):
        middle = left + CELL * (1 + found.strengths * (number + 0.5))
        room = found.strengths * CELL - 0.06
        shown = style.fitting(kind, 30, room, style.SMALL)
        style.write(drawn, middle, y, shown, ha="center", fontsize=style.SMALL)
