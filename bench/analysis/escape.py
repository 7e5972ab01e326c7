"""Names that came from data, made safe for where they are written.

A class is named by a folder, an image by a file and a reason by whatever raised it: all of them may
hold line breaks, markup, terminal codes or a spreadsheet formula.
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
    """No line breaks, no control codes, nothing that reorders the text around it."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    if character in _REORDERING or unicodedata.category(character) in ("Cc", "Cs"):
        return REPLACEMENT
    return character


def shorten(text: str, most: int) -> str:
    """At most `most` characters; the middle goes, because names differ at their ends."""
    if len(text) <= most:
        return text
    head = most // 2
    return text[:head] + "…" + text[len(text) - (most - 1 - head) :]


def markdown(text: str, most: int = 120) -> str:
    """Plain words in a Markdown line or table cell."""
    safe = html.escape(shorten(one_line(text), most), quote=False)
    safe = re.sub(r"([\\`*\[\]|~$#!])", r"\\\1", safe)
    # An underscore inside a word is only itself; `efficientnet_lite0` stays readable in the source.
    return re.sub(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", r"\\_", safe)


_LIVE = re.compile(r"(?<=[@#])(?=\w)|(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=\bgh)(?=-\d)", re.IGNORECASE)


def comment(text: str, most: int = 120) -> str:
    """The same where a forge makes links of plain words: no `@name` calls anybody, and no `#1`,
    address or e-mail becomes a link. A backslash does not keep it from that; a space of no width
    does."""
    return _LIVE.sub("&#8203;", markdown(text, most))


def csv_cell(text: str) -> str:
    """A spreadsheet takes what starts like a formula for one; an apostrophe keeps it text."""
    line = one_line(text)
    return f"'{line}" if line.lstrip().startswith(_FORMULA_STARTS) else line


def latin(text: str) -> str:
    """What every TeX engine can set: letters beyond Latin become their code point."""
    return "".join(
        c if ord(c) <= _WIDEST_LATIN or c in "–…±" else f"[U+{ord(c):04X}]" for c in one_line(text)
    )


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name for each name, good on any system; no two are the same."""
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower())[:60].strip("-.") or "unnamed"
        unique, number = plain, 1
        while unique in found.values():
            number += 1
            unique = f"{plain}-{number}"
        found[name] = unique
    return found
