"""What a metric is: a pure function of one trial's evidence, with a unit and a direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.registry import Registry
from bench.storage.records import Evidence

Kind = Literal["answers", "training", "inference", "size"]
"""What a figure hangs on, so what two runs must share to have it compared: the images that were
answered; the machine and the work of training; the same of inference; nothing but the network."""


@dataclass(frozen=True)
class Metric:
    """A figure derived from raw evidence; `None` where the evidence does not support one."""

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower", "neither"]
    compute: Callable[[Evidence], float | None]
    kind: Kind = "answers"


METRICS: Registry[Metric] = Registry("metric")
