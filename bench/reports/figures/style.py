"""The style of all pictures: colours for colour-blind readers, fonts, drawable labels.

Pictures are drawn with matplotlib's objects, never with pyplot, whose global current figure would
make one report depend on another. Lengths are in inches.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple, cast

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.style import context

from bench.analysis.escape import one_line, shorten

INK, SOFT_INK, FAINT, RULE, BAND = "#1f2933", "#616e7c", "#9aa5b1", "#e4e7eb", "#f5f7fa"
# Okabe and Ito's palette, which colour-blind readers can distinguish.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#d55e00", "#007a59", "#a8321c"
TITLE, SMALL = 12.0, 8.0
TITLE_LINE = 0.2  # height of a line of a title
DPI = 144

# Fonts for names in other scripts: the first one installed is used for glyphs that DejaVu lacks.
_OTHER_SCRIPTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
)
_NO_GLYPH = "□"
_INSTALLED = set(font_manager.fontManager.get_font_names())
FAMILIES = ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in _INSTALLED)]
# No box around a panel, a thin grid behind the data, grey texts that are never parsed as formulas.
_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": RULE,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "font.family": FAMILIES,
    "font.size": SMALL,
    "grid.color": RULE,
    "text.color": SOFT_INK,
    "text.parse_math": False,
    "xtick.color": SOFT_INK,
    "xtick.labelsize": SMALL,
    "xtick.major.pad": 7,  # clear of the lowest figure of y
    "xtick.major.size": 0,
    "ytick.color": SOFT_INK,
    "ytick.labelsize": SMALL,
    "ytick.major.size": 0,
}
# Pictures drawn and saved in this context do not depend on a user's matplotlib settings.
styled = context(["default", _STYLE])


class Box(NamedTuple):
    """A rectangle, in inches from the lower left corner of the picture."""

    left: float
    bottom: float
    right: float
    top: float

    def grow(self, by: float) -> Box:
        return Box(self.left - by, self.bottom - by, self.right + by, self.top + by)


def panel(drawn: Figure, frame: Box) -> Axes:
    """Add axes that fill a rectangle."""
    width, height = drawn.get_size_inches()
    across, up = frame.right - frame.left, frame.top - frame.bottom
    axes = drawn.add_axes((frame.left / width, frame.bottom / height, across / width, up / height))
    # Without a fixed title position, computing it takes a third of the drawing time.
    axes.set_title("", y=1.0)
    return axes


def write(drawn: Figure, x: float, y: float, text: str, **how: Any) -> None:
    """Write text at a position; also used for axis titles, as matplotlib's own are slow."""
    drawn.text(x / drawn.get_figwidth(), y / drawn.get_figheight(), text, **how)


def heading(drawn: Figure, x: float, title: str, about: str) -> None:
    """Write a title, already made `drawable`, and a subtitle below it, `x` from the left."""
    top = drawn.get_figheight()
    write(drawn, x, top - 0.18, title, fontsize=TITLE, weight="bold", color=INK, va="top")
    write(drawn, x, top - 0.43 - TITLE_LINE * title.count("\n"), about, va="top")


def drawable(text: str, most: int) -> str:
    """Return a text that matplotlib can draw: one line, with a box for each missing glyph."""
    known = _characters()
    return "".join(c if ord(c) in known else _NO_GLYPH for c in shorten(one_line(text), most))


def fit(name: str, most: int, room: float, size: float = SMALL, weight: str = "normal") -> str:
    """Return a drawable text, shortened to `most` characters and `room` inches."""
    for length in range(min(len(name), most), 0, -1):
        shown = drawable(name, length)
        if max_width([shown], size, weight) <= room:
            return shown
    return ""


def wrap(text: str, room: float, size: float = SMALL, weight: str = "normal") -> list[str]:
    """Return a text in lines of at most `room` inches."""
    lines: list[str] = []
    for word in filter(None, (fit(one, 60, room, size, weight) for one in text.split())):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and max_width([longer], size, weight) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def max_width(names: Iterable[str], size: float = SMALL, weight: str = "normal") -> float:
    """Return the width of the longest of these texts, in inches."""
    return max((_width(name, size, weight) for name in names), default=0.0)


@cache  # the layout measures the same texts many times
def _width(name: str, size: float, weight: str) -> float:
    font = font_manager.FontProperties(family=FAMILIES, size=size, weight=weight)
    measure: Any = _renderer()
    width, _, _ = measure.get_text_width_height_descent(name, font, ismath=False)
    return float(width) / DPI


@cache
def _renderer() -> RendererAgg:
    return cast(Any, RendererAgg)(8, 8, DPI)  # type: ignore[no-any-return]


@cache
def _characters() -> frozenset[int]:
    paths = map(font_manager.findfont, FAMILIES)
    return frozenset().union(*(font_manager.get_font(path).get_charmap() for path in paths))
