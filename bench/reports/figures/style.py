"""The style of every picture: colours for colour-blind readers, fonts, safe labels.

Pictures are drawn through matplotlib's objects, never through pyplot, whose hidden current figure
would make one report depend on another.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from io import BytesIO
from typing import Any, cast

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from PIL import Image

from bench.analysis.escape import one_line, shorten
from bench.reports.figures.labelling import Box

INK, SOFT_INK, FAINT, RULE, BAND = "#1f2933", "#616e7c", "#9aa5b1", "#e4e7eb", "#f5f7fa"
# From Okabe and Ito's palette, which colour-blind readers can distinguish.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#d55e00", "#007a59", "#a8321c"
TITLE, TEXT, SMALL = 12.0, 9.5, 8.0
TITLE_LINE = 0.2  # inches from one line of a title to the next
DPI = 144

# Names in other scripts: the first of these that is installed is used if DejaVu lacks a glyph.
_OTHER_SCRIPTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
)
_NO_GLYPH = "□"


def figure(width: float, height: float) -> Figure:
    """Return an empty white picture, in inches."""
    return Figure(figsize=(width, height), dpi=DPI, facecolor="white")


def png(drawn: Figure) -> bytes:
    """Return the picture as a PNG file; what was drawn is gone then."""
    canvas: Any = FigureCanvasAgg(drawn)
    canvas.draw()
    # Nothing is transparent, and an alpha channel would take a quarter of the bytes.
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    # Or the pixels of all pictures stay until Python looks for what only holds itself.
    drawn.clear()
    del canvas.renderer
    buffer = BytesIO()
    pixels.save(buffer, "PNG", compress_level=3, dpi=(DPI, DPI))
    return buffer.getvalue()


def panel(drawn: Figure, frame: Box) -> Axes:
    """Add axes that fill a rectangle, in inches from the picture's lower left corner."""
    width, height = drawn.get_size_inches()
    across, up = frame.right - frame.left, frame.top - frame.bottom
    axes = drawn.add_axes((frame.left / width, frame.bottom / height, across / width, up / height))
    # Otherwise the title's place is computed at every drawing, a third of the whole cost.
    axes.set_title("", y=1.0)
    return axes


def write(drawn: Figure, x: float, y: float, text: str, **how: Any) -> None:
    """Write text at a place in inches; axis titles too, because matplotlib's own measure every
    tick."""
    plainly: dict[str, Any] = {"fontsize": TEXT, "color": SOFT_INK, "family": families()}
    drawn.text(x / drawn.get_figwidth(), y / drawn.get_figheight(), text, **(plainly | how))


def heading(drawn: Figure, x: float, title: str, about: str) -> None:
    """Write a title, already a `label` or `wrapped`, and a subtitle, `x` inches from the left."""
    top = drawn.get_figheight()
    write(drawn, x, top - 0.18, title, fontsize=TITLE, weight="bold", color=INK, va="top")
    below = top - 0.43 - TITLE_LINE * title.count("\n")
    write(drawn, x, below, about, fontsize=SMALL, va="top")


def plain(axes: Axes) -> None:
    """Style axes: no box, thin rules behind the data, soft tick labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.tick_params(colors=SOFT_INK, labelsize=SMALL, length=0)
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)


def label(text: str, most: int = 28) -> str:
    """Return a name as matplotlib can draw it: one line, no formula, a box for a missing glyph."""
    known = _characters()
    drawn = (c if ord(c) in known else _NO_GLYPH for c in shorten(one_line(text), most))
    return "".join(drawn).replace("$", r"\$")


def fitting(name: str, most: int, room: float, size: float, weight: str = "normal") -> str:
    """Return the `label` of a name, shortened to at most `room` inches."""
    for length in range(min(len(name), most), 0, -1):
        shown = label(name, length)
        if widest([shown], size, weight) <= room:
            return shown
    return ""


def wrapped(text: str, room: float, size: float = SMALL, weight: str = "normal") -> list[str]:
    """Return a text in lines of at most `room` inches."""
    lines: list[str] = []
    for word in filter(None, (fitting(one, 60, room, size, weight) for one in text.split())):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and widest([longer], size, weight) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def widest(names: Iterable[str], size: float, weight: str = "normal") -> float:
    """Return the width of the longest of these labels, in inches."""
    font = font_manager.FontProperties(family=families(), size=size, weight=weight)
    measure: Any = _renderer()
    sizes = (measure.get_text_width_height_descent(name, font, ismath=False) for name in names)
    return max((width for width, _, _ in sizes), default=0.0) / DPI


@cache
def _renderer() -> RendererAgg:
    return cast(Any, RendererAgg)(8, 8, DPI)  # type: ignore[no-any-return]


@cache
def families() -> list[str]:
    """Return fonts to try for each character, in order."""
    installed = set(font_manager.fontManager.get_font_names())
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed)]


@cache
def _characters() -> frozenset[int]:
    found: set[int] = set()
    for name in families():
        path = font_manager.findfont(name)
        found |= font_manager.get_font(path).get_charmap().keys()
    return frozenset(found)
