"""The costs of backbones: the cheapest, the Pareto front, and the speed of one against another.

Costs are measured precisely, accuracies are not: a backbone off the Pareto front is `dominated`
only if the 95% interval of its difference from a more accurate backbone that costs no more excludes
zero.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.scores import Score
from bench.analysis.statistics.timing import MAX_DRIFT, drift, speed_ratio
from bench.types import Record, Session

LATENCY, ARITHMETIC, SIZE = "latency_p50_ms", "gflops", "params"
COSTS: dict[str, tuple[str, fmt.Show]] = {
    LATENCY: ("p50 latency", lambda ms: f"{fmt.milliseconds(ms)} at p50"),
    ARITHMETIC: ("GMACs", lambda gflops: f"{fmt.significant(gflops / 2)} GMACs"),
    SIZE: ("parameters", lambda count: f"{fmt.count(count)} parameters"),
}


@dataclass(frozen=True)
class Cheapest:
    """The cheapest backbone."""

    label: str
    by: str  # the cost that was compared
    cost: str  # its value, as text


def cheapest(rows: pd.DataFrame, slack: float = 0.0) -> Cheapest | None:
    """Return the cheapest by latency if all were timed, else by arithmetic, else by size.

    Latencies up to a fraction `slack` above the lowest count as equal; arithmetic then decides.
    `None` if no cost is known of all.
    """
    if (by := _first_known(rows, (LATENCY, ARITHMETIC, SIZE))) is None:
        return None
    if by == LATENCY and slack > 0:
        rows = rows[rows[LATENCY] <= (1 + slack) * rows[LATENCY].min()]
        if len(rows) > 1:
            by = _first_known(rows, (ARITHMETIC, SIZE)) or LATENCY
    title, show = COSTS[by]
    return Cheapest(str(rows[by].idxmin()), title, show(float(rows[by].min())))


def _first_known(rows: pd.DataFrame, names: Sequence[str]) -> str | None:
    return next((n for n in names if n in rows and rows[n].notna().all()), None)


def timing_drift(records: Iterable[Record]) -> float:
    """Return by what fraction the machine's speed differed over the sessions of these records.

    0 if not by more than on a quiet machine; infinite if the sessions were on different machines.
    """
    sessions = {r.session.started: r.session for r in records if r.session is not None}
    if len({session.node for session in sessions.values()}) > 1:
        return math.inf
    found = drift([seconds for session in sessions.values() for seconds in session.calibration])
    return found if found > MAX_DRIFT else 0.0


ParetoPlace = Literal["front", "undecided", "dominated"]


def pareto_places(
    costs: Mapping[str, float],
    accuracies: Mapping[str, float],
    ahead: Collection[tuple[str, str]],
) -> dict[str, ParetoPlace]:
    """Return the place of each backbone, the cheapest first; a lower cost is better.

    `ahead` has the pairs of labels of which the first is shown to be more accurate.
    """
    places: dict[str, ParetoPlace] = {}
    for label in sorted(costs, key=lambda name: (costs[name], -accuracies[name])):
        # Of equal backbones the first is on the front.
        better = [other for other in places if accuracies[other] >= accuracies[label]]
        dominated = any((other, label) in ahead for other in better)
        places[label] = "dominated" if dominated else "undecided" if better else "front"
    return places


@dataclass(frozen=True)
class Faster:
    """One backbone against another that was timed in turns with it, with the 95% interval."""

    label: str
    than: str
    times: float  # the speed ratio
    low: float
    high: float
    margin: float  # within which its accuracy is shown to be, a fraction

    @property
    def text(self) -> str:
        times = fmt.plus_minus(self.times, (self.high - self.low) / 2)
        within = fmt.points(self.margin)
        return f"{self.label} is {times} times faster than {self.than}, within {within}."


def faster(fast: Score | None, slow: Score | None, margin: float) -> Faster | None:
    """Compare the speed of two backbones timed in one session.

    `None` unless the first is shown to be faster.
    """
    if fast is None or slow is None or fast is slow:
        return None
    session = _session(fast.record)
    if session is None or session != _session(slow.record):
        return None
    if fast.milliseconds is None or slow.milliseconds is None:
        return None
    found = speed_ratio(slow.milliseconds, fast.milliseconds)
    if found is None or found[1] <= 1:
        return None
    return Faster(fast.label, slow.label, *found, margin)


def _session(record: Record) -> Session | None:
    """Return the measuring session of the reference runtime."""
    return record.runtimes[0].session or record.session
