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


def account(
    imports: Imports,
    shared: Mapping[str, float],
    ledger: Ledger,
    compile_seconds: float,
    train: float,
    tuning: float = 0.0,
    predict: float = 0.0,
    robustness: float = 0.0,
    *,
    first: bool = True,
) -> Mapping[str, float]:
    """Return `Record.seconds` of one trial; only the `first` of a backbone spent what is shared."""
    frozen = sum(ledger.reused.values())
    seconds = {
        "imports": imports.seconds,
        **shared,
        "features": sum(ledger.spent.values()) + frozen,
        "compile": compile_seconds,
        "train": train,
        "measure": predict,
    }
    if tuning:
        seconds["tuning"] = tuning
    if robustness:
        seconds["robustness"] = robustness
    reused = seconds["data"] + frozen + (imports.seconds if imports.reused else 0.0)
    if not first:
        reused = sum(seconds[name] for name in SHARED)
    return seconds | {"total": sum(seconds.values()), "reused": reused}
