"""What a metric is: a pure function of one trial's evidence, with a unit and a direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.records import Evidence
from bench.registry import Registry


@dataclass(frozen=True)
class Metric:
    """A figure derived from raw evidence; `None` where the evidence does not support one."""

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower", "neither"]
    compute: Callable[[Evidence], float | None]


METRICS: Registry[Metric] = Registry("metric")
