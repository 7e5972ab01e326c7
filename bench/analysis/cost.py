"""Which of several backbones costs least to run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.statistics.timing import MAX_DRIFT, drift
from bench.types import Record

LATENCY, ARITHMETIC, SIZE = "latency_p50_ms", "gflops", "params"
COSTS: dict[str, tuple[str, fmt.Show]] = {
    LATENCY: ("p50 latency", lambda ms: f"{fmt.milliseconds(ms)} at p50"),
    ARITHMETIC: ("GMACs", lambda gflops: f"{fmt.significant(gflops / 2)} GMACs"),
    SIZE: ("parameters", lambda count: f"{fmt.count(count)} parameters"),
}


@dataclass(frozen=True)
class Cheapest:
    """The backbone that costs least, by which figure, and that figure as text."""

    label: str
    by: str
    cost: str


def cheapest(rows: pd.DataFrame, slack: float = 0.0) -> Cheapest | None:
    """Return the cheapest by latency if all were timed, else by arithmetic, else by size.

    Latencies that lie within `slack` of the least, a share of it, are ties, which arithmetic
    decides. `None` where no figure is known of all.
    """
    if (by := _known(rows, (LATENCY, ARITHMETIC, SIZE))) is None:
        return None
    if by == LATENCY and slack > 0:
        rows = rows[rows[LATENCY] <= (1 + slack) * rows[LATENCY].min()]
        if len(rows) > 1:
            by = _known(rows, (ARITHMETIC, SIZE)) or LATENCY
    title, show = COSTS[by]
    return Cheapest(str(rows[by].idxmin()), title, show(float(rows[by].min())))


def _known(rows: pd.DataFrame, names: Sequence[str]) -> str | None:
    return next((n for n in names if n in rows and rows[n].notna().all()), None)


def timing_drift(records: Iterable[Record]) -> float:
    """Return by how much the machine's speed differed within and between these measuring sessions;
    0 if by no more than on a quiet machine, infinite if they were on different machines."""
    sessions = {r.session.started: r.session for r in records if r.session is not None}
    if len({session.node for session in sessions.values()}) > 1:
        return math.inf
    found = drift([seconds for session in sessions.values() for seconds in session.calibration])
    return found if found > MAX_DRIFT else 0.0
