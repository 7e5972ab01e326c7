"""Contact sheets: misclassified images in rows, with the predicted class and its confidence.

An image of which the run kept no thumbnail is an empty frame with a caption. If there are heatmaps,
each image appears a second time with its heatmap on top.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from bench.analysis.explanations import COLOURS, OPACITY
from bench.reports.figures import style
from bench.reports.figures.style import Box
from bench.reports.galleries import ContactSheet

SIDE, GAP, LINE = 1.0, 0.14, 0.145  # inches: an image, the space between two, a line of text
MARGIN, TOP = 0.25, 0.7
COLUMNS = 8
MIN_COLUMNS = 4  # the width that the heading needs
SIZE = 7.0
HEAT = LinearSegmentedColormap.from_list("heat", (COLOURS / 255).tolist())


@style.styled
def draw(title: str, shots: ContactSheet, thumbnails: Mapping[int, bytes]) -> Figure:
    """Draw the images of a contact sheet row by row."""
    each = 2 if any(shot.heatmap for shot in shots.shots) else 1  # pictures of an image
    columns = min(COLUMNS, max(MIN_COLUMNS, each * len(shots.shots))) // each
    rows = -(-len(shots.shots) // columns)
    across, down = each * SIDE + GAP, SIDE + 3 * LINE + GAP
    width = 2 * MARGIN + columns * across - GAP
    room = width - 2 * MARGIN
    heading = style.wrap(title, room, style.TITLE, "bold")
    start = TOP + style.TITLE_LINE * (len(heading) - 1)
    height = start + rows * down + MARGIN / 2
    drawn = Figure(figsize=(width, height))
    axes = style.panel(drawn, Box(0, 0, width, height))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    for number, shot in enumerate(shots.shots):
        left = MARGIN + number % columns * across
        top = height - start - number // columns * down
        pixels = _pixels(thumbnails.get(shot.image))
        for x in (left + n * SIDE for n in range(each)):
            how: dict[str, Any] = {"extent": (x, x + SIDE, top - SIDE, top), "aspect": "auto"}
            axes.imshow(pixels, interpolation="bilinear", **how)
        if shot.heatmap:
            heat: dict[str, Any] = {"cmap": HEAT, "vmin": 0, "vmax": 1, "alpha": OPACITY}
            axes.imshow(shot.heatmap, interpolation="bilinear", **how, **heat)
        words = ((shot.title, style.INK), (shot.words, style.ORANGE), (shot.file, style.SOFT_INK))
        for line, (text, colour) in enumerate(words):
            shown = style.fit(text, 26 * each, each * SIDE + GAP / 2, SIZE)
            y = top - SIDE - 0.04 - line * LINE
            style.write(drawn, left, y, shown, fontsize=SIZE, color=colour, va="top")
    # `imshow` changed the limits of the axes.
    axes.set(xlim=(0, width), ylim=(0, height))
    style.heading(drawn, MARGIN, "\n".join(heading), shots.about)
    return drawn


def _pixels(jpeg: bytes | None) -> NDArray[np.uint8]:
    if jpeg is None:
        return np.full((1, 1, 3), 238, np.uint8)
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB"))
