"""Tables as CSV: figures with 12 digits, and no cell that a spreadsheet would take for a formula.

`summary.csv` has every metric of every trial; the other files come from sections.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import pandas as pd

from bench.analysis.escape import csv_cell
from bench.analysis.findings import Findings
from bench.reports.blocks import (
    Absent,
    ConfusionCount,
    Estimate,
    Formatted,
    Image,
    Link,
    Range,
    Table,
    Value,
)


def summary(findings: Findings) -> str:
    """Return `summary.csv`: every metric of every trial, best first."""
    frame = findings.with_standings(findings.trials)
    for name in frame.select_dtypes(exclude="number"):
        frame[name] = frame[name].map(csv_cell)
    return frame.to_csv(index=False, float_format="%.12g", lineterminator="\n")


def text(table: Table) -> str:
    """Return a table as CSV; intervals and standard deviations get columns of their own."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = [_parts([row[i] for row in table.rows]) for i in range(len(table.columns))]
    writer.writerow(
        csv_cell(f"{column.name or column.title}{part}")
        for column, of_column in zip(table.columns, parts, strict=True)
        for part in of_column
    )
    for row in table.rows:
        cells = zip(row, parts, strict=True)
        writer.writerow(_cell(v, part) for v, of_column in cells for part in of_column)
    return out.getvalue()


def _parts(values: Sequence[Value]) -> Sequence[str]:
    """Return the suffixes of the CSV columns that the values of one column fill."""
    known = (value for value in values if value is not None and not isinstance(value, Absent))
    return list(dict.fromkeys(part for value in known for part in _figures(value))) or [""]


def _figures(value: Value) -> Mapping[str, float | str | None]:
    match value:
        case Formatted() | ConfusionCount():
            return _figures(value.value)
        case Range():
            return {"_low": value.low, "_high": value.high}
        case Estimate():
            ends = {"_low": value.low, "_high": value.high, "_std": value.deviation}
            return {"": value.value, **{part: v for part, v in ends.items() if v is not None}}
        case Absent():
            return {"": None}
        case Image():
            return {"": value.path}
        case Link():
            return {"": value.text}
    return {"": value}


def _cell(value: Value, part: str) -> str:
    figure = _figures(value).get(part)
    if figure is None or pd.isna(figure):
        return ""
    return csv_cell(figure) if isinstance(figure, str) else f"{figure:.12g}"
