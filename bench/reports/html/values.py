"""How figures and names go into the page's data."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

import pandas as pd

from bench.analysis.escape import one_line, shorten

LONG = 600
Json = dict[str, Any]


def text(value: object, most: int = LONG) -> str:
    """Return one line without control codes; markup is safe, because the page sets text only."""
    return shorten(one_line(str(value)), most)


def number(value: Any, digits: int = 6) -> float | None:
    """Return a figure with as many digits as a picture needs; `None` if there is none."""
    if value is None or value is pd.NA or not isfinite(value):
        return None
    return float(f"{float(value):.{digits}g}")


def numbers(values: Iterable[Any], digits: int = 4) -> list[float | None]:
    return [number(value, digits) for value in values]


def cell(shown: str, value: Any = None) -> Json:
    """Return a table's cell: its text, and the value it is sorted by, if it is a figure."""
    figure = number(value)
    return {"text": shown} if figure is None else {"text": shown, "value": figure}
