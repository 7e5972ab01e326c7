"""What it cost to make a run: seconds of computing, and joules where the hardware counts them.

What a cache held already is not counted, so the same run costs less a second time; images are
decoded before any trial and are counted in none, nor is what a failed trial computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.training.accounting import SHARED
from bench.types import Record


@dataclass(frozen=True)
class Effort:
    """The computing of some trials, over all processes."""

    parts: Mapping[str, float]  # seconds by what they were for, the most first
    joules: float | None  # of the trials and the timed queries; None: nothing counted them

    @property
    def seconds(self) -> float:
        return sum(self.parts.values())


def effort(records: Iterable[Record]) -> Effort:
    """Add up what the finished trials among the records computed themselves."""
    parts = dict.fromkeys(("preparing", "training", "tuning", "measuring"), 0.0)
    joules: list[float] = []
    timed: set[tuple[str, int]] = set()
    for record in records:
        trial, seconds = record.trial, record.seconds
        shared = sum(seconds.get(part, 0.0) for part in SHARED)
        train, tuning = seconds.get("train", 0.0), seconds.get("tuning", 0.0)
        # More than what can be shared: measured once, with another seed of the backbone.
        measured_before = max(seconds.get("reused", 0.0) - shared, 0.0)
        parts["preparing"] += max(shared - seconds.get("reused", 0.0), 0.0)
        parts["training"] += train
        parts["tuning"] += tuning
        rest = seconds.get("total", 0.0) - shared - train - tuning
        parts["measuring"] += rest - measured_before
        joules += [] if record.joules is None else [record.joules]
        if (backbone := (trial.backbone, trial.input_size)) not in timed and record.runtimes:
            timed.add(backbone)  # its seeds share the timed queries
            joules += [used for runtime in record.runtimes for used in runtime.joules.values()]
    found = sorted(parts.items(), key=lambda part: -part[1])
    return Effort({name: s for name, s in found if s > 0}, sum(joules) if joules else None)
