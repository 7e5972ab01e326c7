"""How a run was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.types import KeepModels


@dataclass(frozen=True)
class Request:
    """How the run was asked for; kept with it, so that it can be asked for again."""

    command: Sequence[str]
    notes: Sequence[str] = ()
    broken_plugins: Sequence[str] = ()
    plugins: Sequence[str] = ()
    packages: Sequence[str] = ()
    split_seed: int | None = None
    keep_models: KeepModels = "none"
    keep_artefacts: bool = False
    retry: bool = True  # in smaller steps, where memory was short
    price_per_hour: float | None = None  # of this machine, for the reports
    margin: float | None = None  # percentage points, for the reports; None: as the run was given
    files: Mapping[str, bytes] = field(default_factory=dict)  # more to keep, by path in the folder
    restore: Callable[[], None] = lambda: None  # puts images back that somebody deleted meanwhile
