"""Where a trial's seconds went, as from cold caches, and how many were not spent this time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.features import Ledger


@dataclass(frozen=True)
class Spent:
    """One trial's seconds by part; `shared` are those that all trials of a backbone have."""

    shared: Mapping[str, float]
    ledger: Ledger
    compile_seconds: float
    train: float
    tuning: float
    predict: float
    robustness: float = 0.0

    def account(self, *, first: bool) -> Mapping[str, float]:
        """`Record.seconds`; only the `first` trial of a backbone spent what is shared."""
        seconds = dict(self.shared) | {
            "features": self.ledger.spent_seconds + self.ledger.reused_seconds,
            "compile": self.compile_seconds,
            "train": self.train,
            "measure": self.predict,
        }
        if self.tuning:
            seconds["tuning"] = self.tuning
        if self.robustness:
            seconds["robustness"] = self.robustness
        reused = seconds["data"] + self.ledger.reused_seconds
        if not first:
            shared = ("imports", "data", "build", "features", "compile")
            reused = sum(seconds[name] for name in shared)
        return seconds | {"total": sum(seconds.values()), "reused": reused}
