"""The seconds of a trial by kind of work, as if nothing were cached, and how many were reused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SHARED = ("imports", "data", "build", "features", "compile")  # shared by a backbone's trials


@dataclass(frozen=True)
class ImportTime:
    """Seconds to import the framework; `reused` if an earlier job of this process imported it."""

    seconds: float = 0.0
    reused: bool = False


@dataclass
class PassTimes:
    """The seconds of each forward pass of the frozen part, by the id of the pass."""

    spent: dict[str, float] = field(default_factory=dict)  # passes run by this process
    reused: dict[str, float] = field(default_factory=dict)  # passes whose results were cached


def trial_seconds(
    imports: ImportTime,
    shared: Mapping[str, float],
    passes: PassTimes,
    compile_seconds: float,
    train: float,
    tuning: float = 0.0,
    predict: float = 0.0,
    robustness: float = 0.0,
    *,
    first: bool = True,
) -> Mapping[str, float]:
    """Return `Record.seconds` of a trial; shared work is spent by a backbone's `first` trial."""
    frozen = sum(passes.reused.values())
    seconds = {
        "imports": imports.seconds,
        **shared,
        "features": sum(passes.spent.values()) + frozen,
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
