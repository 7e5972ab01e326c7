"""What a gallery is made of: images of the data set with captions, drawn by `html/static/images.js`
and by `figures/sheet.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Near:
    """A training image that resembles a shot."""

    image: int  # its place in the split
    words: str


@dataclass(frozen=True)
class Shot:
    """An image of the test set with its caption."""

    image: int  # its place in the split
    title: str
    words: str
    file: str
    heatmap: tuple[tuple[float, ...], ...] = ()  # shares of the strongest, row by row
    strongest: str = ""  # where the heatmap is
    near: tuple[Near, ...] = ()


@dataclass(frozen=True)
class Shots:
    """Images in the order in which a reader should look at them, of one backbone or of all."""

    shots: tuple[Shot, ...]
    label: str = ""  # of the backbone
    about: str = ""


MAX_SHEETS = 6  # of a gallery; report.html has all


@dataclass(frozen=True)
class Gallery:
    """Contact sheets, of which a page shows one at a time."""

    name: str  # of its files, letters and underscores
    title: str
    sheets: tuple[Shots, ...]
    listed: bool = False  # a table of the section names the images, too

    def of(self, sheet: Shots) -> str:
        """Return the title of one of its sheets."""
        return f"{self.title}: {sheet.label}" if sheet.label else self.title
