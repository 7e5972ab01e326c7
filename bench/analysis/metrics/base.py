"""What a metric is: a pure function of a trial's evidence, with unit, direction and column."""

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
"""What a figure depends on, so what two runs must share for it to be compared: the test images; the
machine and the training work; the machine and the inference work; nothing but the network. Tables
show the columns in this order."""


@dataclass(frozen=True)
class MetricColumn:
    """How the ranked table shows a figure; if it is too wide, the least important column goes."""

    title: str
    show: fmt.Show
    importance: int
    spread: bool = False  # show the standard deviation next to a mean over seeds
    up_to: str = ""  # the metric that is the upper end of an interval of shares


@dataclass(frozen=True)
class Metric:
    """A figure derived from raw evidence; `None` where the evidence does not support one."""

    name: str
    title: str
    unit: str
    better: Better
    compute: Callable[[Evidence], float | None]
    kind: Kind = "answers"
    column: MetricColumn | None = None  # in the ranked table; every metric is in `summary.csv`


def derived(
    source: Callable[[Evidence], T | None], figure: Callable[[T], float | None]
) -> Callable[[Evidence], float | None]:
    """Return what computes a figure of what `source` finds; `None` where that is nothing."""

    def compute(evidence: Evidence) -> float | None:
        found = source(evidence)
        return None if found is None else figure(found)

    return compute


METRICS: Registry[Metric] = Registry("metric")
