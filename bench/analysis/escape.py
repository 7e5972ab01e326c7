"""Functions that escape text from data for the format it is written to.

Class names come from folders, image names from files, and reasons from any exception: all may
contain line breaks, markup, terminal codes or spreadsheet formulas.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FORMULA_STARTS = tuple("=+-@＝＋－＠")
_WIDEST_LATIN = 0x17F


def one_line(text: str) -> str:
    """Replace line breaks, control codes and characters that reorder the text around them."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    if character in _REORDERING or unicodedata.category(character) in ("Cc", "Cs"):
        return REPLACEMENT
    return character


def shorten(text: str, most: int) -> str:
    """Shorten a text to `most` characters, in the middle, because names differ at their ends."""
    if len(text) <= most:
        return text
    head = most // 2
    return text[:head] + "…" + text[len(text) - (most - 1 - head) :]


def markdown(text: str, most: int = 120) -> str:
    """Escape text for a Markdown line or table cell."""
    safe = html.escape(shorten(one_line(text), most), quote=False)
    safe = re.sub(r"([\\`*\[\]|~$#!])", r"\\\1", safe)
    # An underscore inside a word needs no escape; `efficientnet_lite0` stays readable as source.
    return re.sub(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", r"\\_", safe)


_LIVE = re.compile(r"(?<=[@#])(?=\w)|(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=\bgh)(?=-\d)", re.IGNORECASE)


def comment(text: str, most: int = 120) -> str:
    """Escape text for a comment on a forge, so that no `@name`, `#1`, address or e-mail becomes a
    link. A backslash does not prevent that; a zero-width space does."""
    return _LIVE.sub("&#8203;", markdown(text, most))


def csv_cell(text: str) -> str:
    """Prefix a text that a spreadsheet would run as a formula with an apostrophe."""
    line = one_line(text)
    return f"'{line}" if line.lstrip().startswith(_FORMULA_STARTS) else line


def latin(text: str) -> str:
    """Replace non-Latin letters, which not every TeX engine can set, by their code points."""
    return "".join(
        c if ord(c) <= _WIDEST_LATIN or c in "–…±" else f"[U+{ord(c):04X}]" for c in one_line(text)
    )


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Return a unique file name for each name, valid on any system."""
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower())[:60].strip("-.") or "unnamed"
        unique, number = plain, 1
        while unique in found.values():
            number += 1
            unique = f"{plain}-{number}"
        found[name] = unique
    return found
