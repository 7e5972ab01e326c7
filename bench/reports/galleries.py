"""Contact sheets: images of the data set with captions, drawn by `html/static/images.js` and by
`figures/sheet.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Near:
    """A training image that resembles a test image."""

    image: int  # index in the split
    words: str


@dataclass(frozen=True)
class Shot:
    """A test image with its caption: three lines, of which `file` is the last."""

    image: int  # index in the split
    title: str
    words: str
    file: str
    heatmap: tuple[tuple[float, ...], ...] = ()  # rows of values relative to the largest
    strongest: str = ""  # where the largest value is, in words
    near: tuple[Near, ...] = ()


@dataclass(frozen=True)
class ContactSheet:
    """Images of one backbone or of all, the most important first."""

    shots: tuple[Shot, ...]
    label: str = ""  # of the backbone
    about: str = ""


MAX_SHEETS = 6  # of a gallery in report.md; report.html has all


@dataclass(frozen=True)
class Gallery:
    """Contact sheets; a page shows one at a time."""

    name: str  # of its files: letters and underscores
    title: str
    sheets: tuple[ContactSheet, ...]
    listed: bool = False  # a table of the section lists the images, too

    def title_of(self, sheet: ContactSheet) -> str:
        """Return the title of a sheet."""
        return f"{self.title}: {sheet.label}" if sheet.label else self.title
