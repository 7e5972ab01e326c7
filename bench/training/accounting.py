"""Where a trial's seconds went, counted as from cold caches, and how many of them were reused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.storage.cache import Entry


@dataclass(frozen=True)
class Imports:
    """Seconds to load the framework; `reused` if an earlier job of this process had done it."""

    seconds: float = 0.0
    reused: bool = False


@dataclass
class Ledger:
    """What frozen passes cost: those run now, and those whose results were in the store."""

    spent: dict[str, float] = field(default_factory=dict)
    reused: dict[str, float] = field(default_factory=dict)

    def passes(self, entry: Entry) -> Mapping[str, float]:
        passes: Mapping[str, float] = entry.extra["passes"]
        return passes

    def count(self, entry: Entry) -> None:
        """Count the passes behind an entry, each once however many of its results are used."""
        for name, seconds in self.passes(entry).items():
            if name not in self.spent:
                self.reused[name] = seconds

    @property
    def reused_seconds(self) -> float:
        return sum(self.reused.values())

    @property
    def spent_seconds(self) -> float:
        return sum(self.spent.values())


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
