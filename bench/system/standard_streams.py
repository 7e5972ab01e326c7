"""What a command prints: streams that are always there, and errors that say which one failed."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Any

OUTPUT = "standard output"
# What is printed often and not every encoding has; all else is written as an escape.
PLAIN = str.maketrans({"–": "-", "—": "-", "·": ",", "→": "->", "…": "...", "±": "+-", "×": "x"})


class _Output(io.FileIO):
    """Standard output whose errors carry a name, as those of files do."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = OUTPUT
            raise


def _as_plain_text(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace characters that the encoding of the output does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(_as_plain_text.__name__, _as_plain_text)


def make_usable() -> None:
    """Open what the caller closed, and let the output hold any character.

    A stream that is closed would give its number to the next file that is opened, and what a child
    process prints would land in that. What the terminal's encoding lacks is written in ASCII.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    elif sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        given = sys.stdout
        given.flush()
        raw = _Output(given.fileno(), "w", closefd=False)
        sys.stdout = io.TextIOWrapper(
            raw if given.write_through else io.BufferedWriter(raw),
            encoding=given.encoding,
            errors=_as_plain_text.__name__,
            line_buffering=given.line_buffering,
            write_through=given.write_through,
        )


def drop_output() -> None:
    """Discard all further output: flushing it at exit would raise the same error again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
