"""Telling an error that means "no memory left" from every other.

Each framework has a type of its own for it, and some only a text; none of them is imported here.
"""

from __future__ import annotations

import re

TYPES = ("MemoryError", "OutOfMemoryError", "ResourceExhaustedError")
# What frameworks, protobuf, the C++ library and the system say; also in the log of a process
# that aborted.
WORDS = re.compile(
    r"RESOURCE_EXHAUSTED|out of memory|bad_alloc|OOM when allocating|can(no|')t allocate memory"
    r"|failed to allocate|can't start new thread|pthread_create|arena alloc failed"
    r"|system_error.*resource temporarily unavailable",
    re.IGNORECASE,
)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LONGEST = 160


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error, or what it was raised from, says that memory was short."""
    if any(kind.__name__ in TYPES for kind in type(error).__mro__) or WORDS.search(str(error)):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)


def in_short(error: BaseException) -> str:
    """The line that says it: TensorFlow tells a whole graph, and Keras some of it in bold type."""
    lines = [line.strip() for line in COLOURS.sub("", str(error)).splitlines()]
    line = next((line for line in lines if WORDS.search(line)), "")
    return line[:LONGEST] or type(error).__name__
