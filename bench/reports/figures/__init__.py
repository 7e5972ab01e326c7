"""Pictures for `report.md`: the charts and galleries of its sections as PNG files.

Importing this package imports matplotlib, so the command line does it late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from bench.analysis.escape import file_names
from bench.reports.blocks import Block, Section
from bench.reports.charts import Chart
from bench.reports.figures import chart, sheet, style
from bench.reports.galleries import MAX_SHEETS, Gallery

FOLDER = "figures"


@dataclass(frozen=True)
class Picture:
    """A picture of a chart or contact sheet, drawn when `png` is called."""

    name: str  # of the chart or gallery
    title: str
    path: str  # relative to the run's folder
    draw: Callable[[], Figure]

    @style.styled
    def png(self) -> bytes:
        canvas: Any = FigureCanvasAgg(self.draw())
        canvas.draw()
        # Without the unused alpha channel, files are 10 to 30% smaller.
        pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
        buffer = BytesIO()
        pixels.save(buffer, "PNG", compress_level=3, dpi=(style.DPI, style.DPI))
        return buffer.getvalue()


def pictures(sections: Iterable[Section], thumbnails: Mapping[int, bytes]) -> tuple[Picture, ...]:
    """Return the pictures of all charts and, if the run kept thumbnails, of all contact sheets."""
    blocks = (block for section in sections for block in section.blocks)
    return tuple(picture for block in blocks for picture in _pictures_of(block, thumbnails))


def _pictures_of(block: Block, thumbnails: Mapping[int, bytes]) -> Iterator[Picture]:
    if isinstance(block, Chart):
        if block.on_paper == 1:
            yield Picture(block.name, block.title, _path(block.name), partial(chart.draw, block))
            return
        names = file_names([panel.title for panel in block.panels])
        for panel in block.panels[: block.on_paper]:
            one = block.only(panel)
            path = _path(block.name, names[panel.title])
            yield Picture(block.name, one.title, path, partial(chart.draw, one))
    elif isinstance(block, Gallery) and thumbnails:
        names = file_names([shots.label for shots in block.sheets])
        for shots in block.sheets[:MAX_SHEETS]:
            path = _path(block.name, names[shots.label] if shots.label else "")
            title = block.title_of(shots)
            yield Picture(block.name, title, path, partial(sheet.draw, title, shots, thumbnails))


def _path(name: str, of: str = "") -> str:
    return f"{FOLDER}/{name}_{of}.png" if of else f"{FOLDER}/{name}.png"
