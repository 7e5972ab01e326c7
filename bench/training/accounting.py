"""Where a trial's seconds went, counted as from cold caches, and how many of them were reused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SHARED = ("imports", "data", "build", "features", "compile")  # by the trials of one backbone


@dataclass(frozen=True)
class Imports:
    """Seconds to load the framework; `reused` if an earlier job of this process had done it."""

    seconds: float = 0.0
    reused: bool = False


@dataclass
class Ledger:
    """What each frozen pass cost: those run now, and those whose results were in the store."""

    spent: dict[str, float] = field(default_factory=dict)
    reused: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Spent:
    """One trial's seconds by part; `shared` are common to all trials of a backbone."""

    imports: Imports
    shared: Mapping[str, float]
    ledger: Ledger
    compile_seconds: float
    train: float
    tuning: float
    predict: float
    robustness: float = 0.0

    def account(self, *, first: bool) -> Mapping[str, float]:
        """Return `Record.seconds`; only the `first` trial of a backbone spent what is shared."""
        frozen = sum(self.ledger.reused.values())
        seconds = {
            "imports": self.imports.seconds,
            **self.shared,
            "features": sum(self.ledger.spent.values()) + frozen,
            "compile": self.compile_seconds,
            "train": self.train,
            "measure": self.predict,
        }
        if self.tuning:
            seconds["tuning"] = self.tuning
        if self.robustness:
            seconds["robustness"] = self.robustness
        reused = seconds["data"] + frozen
        reused += seconds["imports"] if self.imports.reused else 0.0
        if not first:
            reused = sum(seconds[name] for name in SHARED)
        return seconds | {"total": sum(seconds.values()), "reused": reused}
