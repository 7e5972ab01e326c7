"""What a metric is: a pure function of a trial's evidence, with unit, direction and column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from typing import Any, Literal

from bench.analysis import format as fmt
from bench.registry import Registry
from bench.storage.records import Evidence

Kind = Literal["answers", "training", "inference", "size"]
"""What a figure depends on, so what two runs must share for it to be compared: the test images; the
machine and the training work; the machine and the inference work; nothing but the network. Tables
show the columns in this order."""


@dataclass(frozen=True)
class Column:
    """How the ranked table shows a figure; if it is too wide, the least important column goes."""

    title: str
    show: fmt.Show
    importance: int
    spread: bool = False  # show the standard deviation next to a mean over seeds
    up_to: str = ""  # the metric that is the upper end of an interval of shares

    def cell(self, row: Any, name: str) -> str:
        """Return the text of the figure `name` of a row, a pandas Series."""
        value, deviation = row[name], row.get(f"{name}_std") if self.spread else None
        if isnan(value):
            return fmt.MISSING
        if self.up_to:
            return fmt.interval(value, row[self.up_to])
        if deviation is None or isnan(deviation):
            return self.show(value)
        return f"{self.show(value)} ± {self.show(deviation)}"


@dataclass(frozen=True)
class Metric:
    """A figure derived from raw evidence; `None` where the evidence does not support one."""

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower", "neither"]
    compute: Callable[[Evidence], float | None]
    kind: Kind = "answers"
    column: Column | None = None  # in the ranked table; every metric is in `summary.csv`


METRICS: Registry[Metric] = Registry("metric")
