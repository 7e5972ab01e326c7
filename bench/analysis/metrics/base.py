"""The definition of a metric: a pure function of a trial's evidence, with unit and direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from bench.analysis import format as fmt
from bench.registry import Registry
from bench.storage.records import Evidence

T = TypeVar("T")
Better = Literal["higher", "lower", "neither"]
Kind = Literal["answers", "training", "inference", "size"]
"""What a figure depends on, and two runs must share to compare it: the test images ("answers"), the
machine and the training work, the machine and the inference work, or the network alone ("size").
Tables show the columns in this order."""


@dataclass(frozen=True)
class MetricColumn:
    """The column of a figure in the ranked table.

    If the table is too wide, its least important columns are left out.
    """

    title: str
    show: fmt.Show
    importance: int
    spread: bool = False  # show the standard deviation next to a mean over seeds
    up_to: str = ""  # the metric with the upper end, if the column shows an interval


@dataclass(frozen=True)
class Metric:
    """A figure of one trial; every metric is a column of `summary.csv`."""

    name: str
    title: str
    unit: str
    better: Better
    compute: Callable[[Evidence], float | None]  # None if the evidence does not support a figure
    kind: Kind = "answers"
    column: MetricColumn | None = None  # in the ranked table; None: not shown there


def compute_from(
    source: Callable[[Evidence], T | None], figure: Callable[[T], float | None]
) -> Callable[[Evidence], float | None]:
    """Build a metric function that applies `figure` to the result of `source`.

    The function returns `None` if `source` does.
    """

    def compute(evidence: Evidence) -> float | None:
        found = source(evidence)
        return None if found is None else figure(found)

    return compute


METRICS: Registry[Metric] = Registry("metric")
