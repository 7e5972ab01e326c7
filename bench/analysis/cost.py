"""Which of several backbones costs least to run, and which latencies are hard to compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.statistics.timing import MAX_DRIFT, drift
from bench.types import Record, Session

LATENCY, ARITHMETIC, SIZE = "latency_p50_ms", "gflops", "params"
COSTS: dict[str, tuple[str, fmt.Show]] = {
    LATENCY: ("p50 latency", lambda ms: f"{fmt.milliseconds(ms)} at p50"),
    ARITHMETIC: ("GMACs", lambda gflops: f"{fmt.significant(gflops / 2)} GMACs"),
    SIZE: ("parameters", lambda count: f"{fmt.count(count)} parameters"),
}


ByLabel = Mapping[str, Sequence[Record]]


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
    0 if by no more than on a quiet machine."""
    sessions = {r.session.started: r.session for r in records if r.session is not None}
    found = drift([seconds for session in sessions.values() for seconds in session.calibration])
    return found if found > MAX_DRIFT else 0.0


def latency_warnings(records: ByLabel) -> list[str]:
    """Return a line for each thing that makes latencies hard to compare, or is missing."""
    return [*_drifted(records), *_timed_apart(records), *_gaps(records)]


def _drifted(by_label: ByLabel) -> list[str]:
    """Name the measuring sessions in which the machine's speed changed."""
    records = [record for of_label in by_label.values() for record in of_label]
    sessions: dict[tuple[str, tuple[float, ...]], tuple[str, Session]] = {}
    for record in records:
        for number, result in enumerate(record.runtimes):
            # In version 0.1 one session timed all runtimes.
            session = result.session or (record.session if number == 0 else None)
            if session is not None:
                through = f" through {result.name}" if number else ""
                sessions[session.started, session.calibration] = (through, session)
    found = [
        f"The machine's speed changed during the timing of {', '.join(session.backbones)}"
        f"{through}: the same work, timed {len(session.calibration)} times, took between "
        f"{1000 * min(session.calibration):.1f} and {1000 * max(session.calibration):.1f} ms. "
        f"Read their latencies with care."
        for through, session in sessions.values()
        if drift(session.calibration) > MAX_DRIFT
    ]
    slack = timing_drift(records)
    if slack and not found:
        count = len({record.session.started for record in records if record.session})
        found.append(
            f"The machine's speed differed between the {count} sessions that timed these "
            f"backbones. Read their latencies with care."
        )
    if slack:
        found.append(
            f"For the recommendation, latencies up to {100 * slack:.0f}% above the least count as "
            f"equal, and arithmetic decides."
        )
    return found


def _timed_apart(records: ByLabel) -> list[str]:
    """Name the latencies that are shown together but were not measured in turns."""
    found = []
    timings = _timings(records)
    for runtime, sessions in timings.items():
        if len(sessions) > 1:
            apart = "; ".join(", ".join(labels) for _, labels in sorted(sessions.items()))
            found.append(
                f"The backbones were not all timed together through {runtime} ({apart}): compare "
                f"latencies across these groups with care."
            )
    first, *others = timings.items() or [("", {})]
    if later := [name for name, sessions in others if sessions.keys() != first[1].keys()]:
        found.append(
            f"{', '.join(later)}: timed by another command than {first[0]}; compare latencies "
            f"across these runtimes with care."
        )
    return found


def _timings(records: ByLabel) -> dict[str, dict[tuple[str, float], list[str]]]:
    """Return, by runtime, its sessions and the labels that each timed."""
    found: dict[str, dict[tuple[str, float], list[str]]] = {}
    for label, of_label in records.items():
        for result in (result for record in of_label for result in record.runtimes):
            if result.session is not None and result.status == "ok":
                session = (result.session.started, result.session.latency_seconds)
                timed = found.setdefault(result.name, {}).setdefault(session, [])
                if label not in timed:
                    timed.append(label)
    return found


def _gaps(records: ByLabel) -> list[str]:
    """Name the batch sizes that could not be timed, and why; seeds share one model."""
    found = {
        f"{label} was not timed through {result.name} in batches of {batch}: {why}"
        for label, of_label in records.items()
        for record in of_label
        for result in record.runtimes
        for batch, why in result.failed_batches.items()
    }
    return sorted(found)
