"""What a reader of the latencies must be warned of: where they were not timed alike, or not at all.

The words are plain text, not yet escaped for a format.
"""

from __future__ import annotations

from bench.analysis.cost import timing_drift
from bench.analysis.findings import Findings
from bench.analysis.statistics.drift import MOST_DRIFT, drift
from bench.types import Session


def warnings(findings: Findings) -> list[str]:
    """Return a line for each thing that makes latencies hard to compare, or is missing."""
    return [*_drifted(findings), *_timed_apart(findings), *_gaps(findings)]


def _drifted(findings: Findings) -> list[str]:
    """Which measuring sessions the machine did not keep its speed in."""
    records = findings.run.records
    sessions: dict[tuple[str, tuple[float, ...]], tuple[str, Session]] = {}
    for record in records:
        for number, result in enumerate(record.runtimes):
            # In version 0.1 one session timed all runtimes.
            session = result.session or (record.session if number == 0 else None)
            if session is not None:
                through = f" through {result.name}" if number else ""
                sessions[session.started, session.calibration] = (through, session)
    found = [
        f"The machine did not keep its speed during the timing of {', '.join(session.backbones)}"
        f"{through}: the same work, timed {len(session.calibration)} times, took between "
        f"{1000 * min(session.calibration):.1f} and {1000 * max(session.calibration):.1f} ms. "
        f"Read their latencies with care."
        for through, session in sessions.values()
        if drift(session.calibration) > MOST_DRIFT
    ]
    slack = timing_drift(records)
    if slack and not found:
        count = len({record.session.started for record in records if record.session})
        found.append(
            f"The machine was not equally fast in the {count} sessions that timed these "
            f"backbones. Read their latencies with care."
        )
    if slack:
        found.append(
            f"For the recommendation, latencies up to {100 * slack:.0f}% above the least count as "
            f"equal, and arithmetic decides."
        )
    return found


def _timed_apart(findings: Findings) -> list[str]:
    """Which latencies stand next to each other and were not measured in turns."""
    found = []
    timings = _timings(findings)
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


def _timings(findings: Findings) -> dict[str, dict[tuple[str, float], list[str]]]:
    """By runtime, the sessions that it was timed in with the labels that each timed."""
    found: dict[str, dict[tuple[str, float], list[str]]] = {}
    for label, records in findings.records.items():
        for result in (result for record in records for result in record.runtimes):
            if result.session is not None and result.status == "ok":
                session = (result.session.started, result.session.latency_seconds)
                timed = found.setdefault(result.name, {}).setdefault(session, [])
                if label not in timed:
                    timed.append(label)
    return found


def _gaps(findings: Findings) -> list[str]:
    """Which batch sizes could not be timed, and why; seeds of a backbone share one model."""
    found = {
        f"{label} was not timed through {result.name} in batches of {batch}: {why}"
        for label, records in findings.records.items()
        for record in records
        for result in record.runtimes
        for batch, why in result.failed_batches.items()
    }
    return sorted(found)
