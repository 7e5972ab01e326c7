"""How figures and names go into the page's data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

import pandas as pd

from bench.analysis.escape import one_line, shorten

LONG = 600
Json = dict[str, Any]


def text(value: object, most: int = LONG) -> str:
    """One line without control codes; markup is no danger, for the page writes text alone."""
    return shorten(one_line(str(value)), most)


def number(value: Any, digits: int = 6) -> float | None:
    """A figure with as many digits as a picture needs; `None` where there is none."""
    if value is None or pd.isna(value) or not isfinite(value):
        return None
    return float(f"{float(value):.{digits}g}")


def numbers(values: Iterable[Any], digits: int = 4) -> list[float | None]:
    return [number(value, digits) for value in values]


def cell(shown: str, value: Any = None) -> Json:
    """A table's cell: what is read, and what it is sorted by where that is a figure."""
    figure = number(value)
    return {"text": shown} if figure is None else {"text": shown, "value": figure}


def table(titles: Sequence[str], rows: Sequence[Sequence[Any]], *, left: Sequence[int]) -> Json:
    """A plain table; the columns `left` hold words, the others figures."""
    columns = [{"title": t, "left": index in left} for index, t in enumerate(titles)]
    return {
        "columns": columns,
        "rows": [[c if isinstance(c, dict) else {"text": text(c)} for c in row] for row in rows],
    }
