"""How much faster the recommended backbone is than the best, where that is another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analysis import format as fmt
from bench.analysis.scores import Score
from bench.analysis.statistics.timing import paired_ratio
from bench.analysis.verdict import Verdict
from bench.types import Record, Session


@dataclass(frozen=True)
class Faster:
    """One backbone against another that was timed in turns with it, with the 95% interval."""

    label: str
    than: str
    times: float
    low: float
    high: float
    margin: float  # within which the first is shown to be, a share

    @property
    def text(self) -> str:
        times = fmt.plus_minus(self.times, (self.high - self.low) / 2)
        within = fmt.points(self.margin)
        return f"{self.label} is {times} times faster than {self.than}, within {within}."


def faster(
    verdict: Verdict, records: Mapping[str, Sequence[Record]], timed: Mapping[str, Score]
) -> Faster | None:
    """Compare the two; `None` unless the recommended one is shown to be faster than the best, by
    queries of one session."""
    label, than = verdict.recommended, verdict.best
    if label is None or than is None or label == than:
        return None
    session = _session(records[label])
    if session is None or session != _session(records[than]):
        return None
    fast, slow = timed[label], timed[than]
    if fast.milliseconds is None or slow.milliseconds is None:
        return None
    found = paired_ratio(slow.milliseconds, fast.milliseconds)
    if found is None or found[1] <= 1:
        return None
    return Faster(label, than, *found, verdict.margin)


def _session(records: Sequence[Record]) -> Session | None:
    """Return the session that timed the reference runtime; seeds share it."""
    sessions = (r.runtimes[0].session or r.session for r in records if r.runtimes)
    return next(sessions, None)
