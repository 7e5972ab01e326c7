"""Where a trial's seconds went, as from cold caches, and how many were not spent this time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.training.features import Ledger


@dataclass(frozen=True)
class Imports:
    """What loading the framework took; `reused` where that was done before, for another job."""

    seconds: float = 0.0
    reused: bool = False


@dataclass(frozen=True)
class Spent:
    """One trial's seconds by part; `shared` are those that all trials of a backbone have."""

    imports: Imports
    shared: Mapping[str, float]
    ledger: Ledger
    compile_seconds: float
    train: float
    tuning: float
    predict: float
    robustness: float = 0.0

    def account(self, *, first: bool) -> Mapping[str, float]:
        """`Record.seconds`; only the `first` trial of a backbone spent what is shared."""
        seconds = {
            "imports": self.imports.seconds,
            **self.shared,
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
        reused += seconds["imports"] if self.imports.reused else 0.0
        if not first:
            shared = ("imports", "data", "build", "features", "compile")
            reused = sum(seconds[name] for name in shared)
        return seconds | {"total": sum(seconds.values()), "reused": reused}
