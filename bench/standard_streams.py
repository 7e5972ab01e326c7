"""What a command prints: streams that are always there, and errors that say which one failed."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

OUTPUT = "standard output"


class _Output(io.FileIO):
    """The output, which names itself in its errors as files do."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = OUTPUT
            raise


def make_usable() -> None:
    """Open what the caller closed, and let the output hold any character.

    A stream that is closed would give its number to the next file that is opened, and what a child
    process prints would land in that. What the terminal's encoding lacks is written as an escape.
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
            errors="backslashreplace",
            line_buffering=given.line_buffering,
            write_through=given.write_through,
        )


def drop_output() -> None:
    """Write no more: Python would otherwise complain once more of what it could not."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
