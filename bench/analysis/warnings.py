"""The warnings of a report, each with the option or the step that helps.

Notes from `run.json`, written while the run was made, are repeated as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from bench.analysis import facts
from bench.analysis.cost import timing_drift
from bench.analysis.findings import Findings
from bench.analysis.format import quantity, seeds
from bench.analysis.scores import without_random_init
from bench.analysis.statistics.timing import MAX_DRIFT, drift
from bench.data.audit.result import outcome_text
from bench.types import RANDOM_INIT, Record, Session

MAX_PAIRS = 3


class Cause(Enum):
    """The cause of a warning; its value is the remedy."""

    RANDOM_INIT = "To rank them, give their pretrained files with --weights FOLDER."
    EARLIER = "To leave them out, use --fresh or another --run."
    FAILED = "The same command tries it again."
    FAILED_AGAIN = "The same command tries it once more."
    SKIPPED = "Another --protocol, --input-size or --weights may allow it."
    PLUGIN = "`check` tests it once it loads."
    EXCLUDED = "The end of report.md says why; repair or remove the files."
    LEAK = "The section on the data audit shows the copies."
    LAST_EPOCH = "Raise `epochs` of that phase in your own protocol."
    RATE_DECIDES = "A larger --tune compares them at more rates; see Learning rates in report.md."
    SMALLER_FAILED = "The same command tries again; report.md says why."
    DRIFT = "To time them again, on an idle machine, use another --latency-seconds."
    TIMED_APART = "To time all of them in turns, use another --latency-seconds."
    RUNTIMES_APART = "To time all runtimes again, use another --latency-seconds."
    BATCH = "The best throughput is that of the other batch sizes; this one may need more memory."
    MACHINES = "--fresh trains all of them on this machine."
    NOTED = ""


@dataclass(frozen=True)
class Caution:
    """One warning."""

    cause: Cause
    what: str

    @property
    def text(self) -> str:
        """Return the warning, followed by the remedy."""
        if not self.cause.value:
            return self.what
        end = "" if self.what.endswith((".", "?", "!")) else "."
        return f"{self.what}{end} {self.cause.value}"


def warnings(findings: Findings) -> list[str]:
    """Return the text of each warning, the most important first."""
    return [caution.text for caution in cautions(findings)]


def cautions(findings: Findings) -> Iterator[Caution]:
    """Yield each warning, the most important first."""
    run = findings.run
    drawn = findings.backbones[findings.backbones["weights"] == RANDOM_INIT]["label"]
    if random := [without_random_init(label) for label in drawn]:
        of = "Its" if len(random) == 1 else "Their"
        yield Caution(
            Cause.RANDOM_INIT,
            f"Random init, so not ranked: {', '.join(random)}. {of} accuracy is meaningless; "
            f"{of.lower()} times and sizes are valid.",
        )
    yield from _earlier(findings)
    for who, why in facts.failures(findings):
        yield Caution(Cause.FAILED, f"{who} failed: {why}")
    for record in run.failed_reruns:
        yield Caution(
            Cause.FAILED_AGAIN,
            f"{record.trial.title}, failed when it was trained again; its earlier record is "
            f"shown: {record.reason}",
        )
    for who, why in facts.skipped_backbones(findings):
        yield Caution(Cause.SKIPPED, f"{who} was skipped: {why}")
    for why in run.meta.broken_plugins:
        yield Caution(Cause.PLUGIN, f"Not loaded: {why}")
    if count := len(run.dataset.excluded):
        yield Caution(Cause.EXCLUDED, f"{quantity(count, 'image')} could not be used")
    if findings.audit is not None and (leak := outcome_text(findings.audit)):
        yield Caution(Cause.LEAK, leak)
    yield from _best_at_last_epoch(findings)
    yield from _rate_decides(findings)
    if failed := sum(record.status == "failed" for record in run.subset_records):
        what = f"{quantity(failed, 'trial')} on fewer training images failed"
        yield Caution(Cause.SMALLER_FAILED, what)
    yield from latency_cautions(findings.records)
    if fields := findings.environment_differences:
        what = f"Trials differ in {', '.join(fields)}: compare their times with care"
        yield Caution(Cause.MACHINES, what)
    yield from (Caution(Cause.NOTED, note) for note in run.meta.notes)


def _best_at_last_epoch(findings: Findings) -> Iterator[Caution]:
    """Warn of phases of pretrained backbones whose best epoch was the last allowed."""
    where: dict[str, list[str]] = {}
    for label, records in findings.records.items():
        trained = [r for r in records if r.pretrained]
        for name in dict.fromkeys(p.name for r in trained for p in r.phases):
            phases = [p for r in trained for p in r.phases if p.name == name]
            if count := sum(phase.at_limit for phase in phases):
                of = f" ({count} of {len(phases)} seeds)" if len(phases) > 1 else ""
                where.setdefault(name, []).append(f"{label}{of}")
    for name, labels in where.items():
        yield Caution(
            Cause.LAST_EPOCH,
            f"The best epoch of phase {name} was the last allowed for {', '.join(labels)}: longer "
            f"training may still improve it",
        )


def _earlier(findings: Findings) -> Iterator[Caution]:
    """Warn of trials of the run that its last command did not request."""
    asked = findings.run.meta.asked
    if asked is None:  # as in version 0.1
        return
    found = []
    for label, records in findings.records.items():
        if others := [record for record in records if record.trial.key not in asked]:
            which = seeds(record.trial.seed for record in others)
            few = f" ({which})" if len(others) < len(records) else ""
            found.append(f"{label}{few}")
    if found:
        yield Caution(
            Cause.EARLIER,
            f"Trials of earlier commands, not requested by the last one: {', '.join(found)}. They "
            f"stay in this run and are compared with the rest",
        )


def _rate_decides(findings: Findings) -> Iterator[Caution]:
    """Warn of pairs of backbones whose order on the test set depends on the learning rate."""
    flips = findings.sensitivity.flips if findings.sensitivity is not None else ()
    pairs = [
        f"{flip.first} or {flip.second}"
        for flip in flips
        if flip.split == "test" and flip.significant
    ]
    if pairs:
        more = f" and {len(pairs) - MAX_PAIRS} more pairs" if len(pairs) > MAX_PAIRS else ""
        which = f"{'; '.join(pairs[:MAX_PAIRS])}{more}"
        yield Caution(Cause.RATE_DECIDES, f"The learning rate decides which is better of {which}")


def latency_cautions(records: Mapping[str, Sequence[Record]]) -> Iterator[Caution]:
    """Warn of latencies that are missing or hard to compare; `records` are by label."""
    yield from _drifted([record for of_label in records.values() for record in of_label])
    yield from _timed_apart(records)
    missing = {
        f"{label} was not timed through {result.name} in batches of {batch}: {why}"
        for label, of_label in records.items()
        for record in of_label
        for result in record.runtimes
        for batch, why in result.failed_batches.items()
    }
    yield from (Caution(Cause.BATCH, what) for what in sorted(missing))  # seeds share one model


def _drifted(records: Sequence[Record]) -> Iterator[Caution]:
    """Warn of changes of the machine's speed, within and between measuring sessions."""
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
        f"{1000 * min(session.calibration):.1f} and {1000 * max(session.calibration):.1f} ms"
        for through, session in sessions.values()
        if drift(session.calibration) > MAX_DRIFT
    ]
    slack, equal = timing_drift(records), "latencies"
    if slack == math.inf:
        nodes = {r.session.node or "the machine of the command" for r in records if r.session}
        found.append(f"The backbones were timed on {' and on '.join(sorted(nodes))}")
    elif slack:
        equal += f" within a factor of {1 + slack:.1f}"
    if slack and not found:
        count = len({record.session.started for record in records if record.session})
        found.append(
            f"The machine's speed differed between the {count} sessions that timed these backbones"
        )
    if slack:
        found[-1] += (
            f". For the recommendation, {equal} count as equal; the one with fewer "
            f"multiplications is taken"
        )
    yield from (Caution(Cause.DRIFT, what) for what in found)


def _timed_apart(records: Mapping[str, Sequence[Record]]) -> Iterator[Caution]:
    """Warn of latencies that are shown together but were not measured in turns."""
    timings = _timings(records)
    for runtime, sessions in timings.items():
        if len(sessions) > 1:
            apart = "; ".join(", ".join(labels) for _, labels in sorted(sessions.items()))
            yield Caution(
                Cause.TIMED_APART,
                f"The backbones were not all timed together through {runtime} ({apart}): compare "
                f"latencies across these groups with care",
            )
    first, *others = timings.items() or [("", {})]
    if later := [name for name, sessions in others if sessions.keys() != first[1].keys()]:
        yield Caution(
            Cause.RUNTIMES_APART,
            f"{', '.join(later)}: timed by another command than {first[0]}; compare latencies "
            f"across these runtimes with care",
        )


def _timings(
    records: Mapping[str, Sequence[Record]],
) -> dict[str, dict[tuple[str, float], list[str]]]:
    """Return the labels that were timed together, by runtime and session."""
    found: dict[str, dict[tuple[str, float], list[str]]] = {}
    for label, of_label in records.items():
        for result in (result for record in of_label for result in record.runtimes):
            if result.session is not None and result.status == "ok":
                session = (result.session.started, result.session.latency_seconds)
                timed = found.setdefault(result.name, {}).setdefault(session, [])
                if label not in timed:
                    timed.append(label)
    return found
