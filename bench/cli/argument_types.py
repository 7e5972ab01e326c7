"""Types of command-line arguments: each function parses one, or says what it must be."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from bench.execution.request import LARGEST_SEED
from bench.training.tuning import MAX_BUDGET


def positive(text: str) -> int:
    """Parse a whole number above 0."""
    return _whole(text, "a whole number, 1 or more", 1)


def count_or_all(text: str) -> int:
    """Parse a positive whole number, or `all` as the largest integer."""
    return sys.maxsize if text == "all" else _whole(text, "a whole number, 1 or more, or all", 1)


def positive_float(text: str) -> float:
    value = _number(text, wanted := "a number above 0")
    return value if 0 < value < float("inf") else _refuse(text, wanted)


def points(text: str) -> float:
    """Parse percentage points, above 0 and below 100."""
    value = _number(text, wanted := "percentage points above 0 and below 100")
    return value if 0 < value < 100 else _refuse(text, wanted)


def seed(text: str) -> int:
    return _whole(text, f"a whole number from 0 to {LARGEST_SEED}", 0, LARGEST_SEED)


def one_seed(text: str) -> tuple[int, ...]:
    """Parse one seed as the list that `--seeds` returns."""
    return (seed(text),)


def seeds(text: str) -> tuple[int, ...]:
    """Parse a number of seeds, `5` for 0 to 4, or a list of them, `1,2,3` or `7,`."""
    wanted = (
        f"how many seeds (5 trains 0 to 4), or which: different whole numbers from 0 to "
        f"{LARGEST_SEED}, separated by commas (7,8,9; a single one as 7,)"
    )
    if "," not in text:
        return tuple(range(_whole(text, wanted, 1)))
    found = [_whole(part, wanted, 0, LARGEST_SEED) for part in text.removesuffix(",").split(",")]
    return tuple(found) if len(set(found)) == len(found) else _refuse(text, wanted)


def fraction(text: str) -> float:
    """Parse a fraction from 0 to 1; a percentage is refused."""
    value = _number(text, wanted := "a fraction from 0 to 1")
    return value if 0 <= value <= 1 else _refuse(text, wanted)


def fractions(text: str) -> tuple[float, ...]:
    """Parse different fractions above 0, as `0.1,0.3,1`."""
    wanted = "different fractions above 0, up to 1, separated by commas (0.1,0.3,1)"
    found = [_number(part, wanted) for part in text.removesuffix(",").split(",")]
    fits = all(0 < value <= 1 for value in found) and len(set(found)) == len(found)
    return tuple(found) if fits else _refuse(text, wanted)


def pixels(text: str) -> tuple[int, ...]:
    """Parse different input sizes, as `160` or `128,160,224`, and sort them."""
    wanted = "different whole numbers, 1 or more, separated by commas (128,160,224)"
    found = [_whole(part, wanted, 1) for part in text.split(",")]
    return tuple(sorted(found)) if len(set(found)) == len(found) else _refuse(text, wanted)


def budget(text: str) -> int:
    """Parse the number of learning rates to try; 1 would be the protocol's own alone."""
    return _whole(text, f"a whole number from 2 to {MAX_BUDGET}", 2, MAX_BUDGET)


def _whole(text: str, wanted: str, least: int, most: int | None = None) -> int:
    try:
        value = int(text)
    except ValueError:
        _refuse(text, wanted)
    return value if least <= value and (most is None or value <= most) else _refuse(text, wanted)


def _number(text: str, wanted: str) -> float:
    try:
        return float(text)
    except ValueError:
        _refuse(text, wanted)


def _refuse(text: str, wanted: str) -> NoReturn:
    raise argparse.ArgumentTypeError(f"must be {wanted}; got {text!r}")
