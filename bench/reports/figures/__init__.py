"""Pictures for `report.md`: the charts and galleries of its sections as PNG files.

Importing this imports matplotlib, so the command line does it late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure

from bench.analysis.escape import file_names
from bench.reports.blocks import Drawing, Gallery, Section
from bench.reports.charts import Chart
from bench.reports.figures import chart, sheet, style

FOLDER = "figures"
MAX_SHEETS = 6  # of a gallery; report.html has all


@dataclass(frozen=True)
class Picture:
    """A picture of a block, drawn when its file is needed."""

    name: str  # of the chart or gallery
    title: str
    path: str  # from the run's folder
    draw: Callable[[], Figure]

    def png(self) -> bytes:
        return style.png(self.draw())


def pictures(sections: Iterable[Section], thumbnails: Mapping[int, bytes]) -> tuple[Picture, ...]:
    """Return a picture of every chart, and the sheets of galleries if the run kept images."""
    return tuple(
        picture
        for section in sections
        for block in section.blocks
        for one in (block.elsewhere if isinstance(block, Drawing) else (block,))
        for picture in _of(one, thumbnails)
    )


def _of(block: object, thumbnails: Mapping[int, bytes]) -> Iterator[Picture]:
    if isinstance(block, Chart):
        yield Picture(
            block.name, block.title, f"{FOLDER}/{block.name}.png", partial(chart.draw, block)
        )
    elif isinstance(block, Gallery) and thumbnails:
        names = file_names([shots.label for shots in block.sheets])
        for shots in block.sheets[:MAX_SHEETS]:
            ending = f"_{names[shots.label]}" if shots.label else ""
            title = f"{block.title}: {shots.label}" if shots.label else block.title
            draw = partial(sheet.draw, title, shots, thumbnails)
            yield Picture(block.name, title, f"{FOLDER}/{block.name}{ending}.png", draw)
