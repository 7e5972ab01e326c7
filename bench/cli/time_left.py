"""How long a run still takes: what was planned, corrected by how long the first of it has taken.

A run is its trials, then the measuring of what they trained, then its reports.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.execution.schedule import Schedule

ENOUGH = 0.1  # of a part that must be done before the clock says more than the estimate


@dataclass
class _Part:
    """One part of the run: what it should take, how much of it is done, and since when."""

    estimate: float
    begun: float | None = None

    def left(self, share: float, now: float) -> float:
        spent = 0.0 if self.begun is None else now - self.begun
        if share >= ENOUGH:
            return spent * (1 - share) / share
        # What has hardly begun after so long is not about to end.
        return max(self.estimate - spent, spent)


@dataclass
class TimeLeft:
    """Is told how far the run is; says how much time is left."""

    schedule: Schedule
    clock: Callable[[], float] = time.monotonic
    _under_way: dict[str, float] = field(default_factory=dict)  # shares of trials that are done
    _done: set[str] = field(default_factory=set)
    _measured: float = 0.0

    def __post_init__(self) -> None:
        self._training = _Part(sum(self.schedule.trials.values()), self.clock())
        self._measuring = _Part(self.schedule.measuring)

    def trial(self, key: str, share: float) -> None:
        """So much of a trial is done."""
        self._under_way[key] = max(share, self._under_way.get(key, 0.0))

    def end(self, key: str) -> None:
        """A trial has ended."""
        self._under_way.pop(key, None)
        self._done.add(key)

    def measuring(self, share: float) -> None:
        """So much of the measuring is done."""
        if self._measuring.begun is None:
            self._measuring.begun = self.clock()
        self._measured = max(share, self._measured)

    @property
    def seconds(self) -> float:
        """Never nothing before the reports are written."""
        now = self.clock()
        left = self._measuring.left(self._measured, now) + self.schedule.reports
        if self._measuring.begun is None:
            left += self._training.left(self._trained, now)
        return left

    @property
    def share(self) -> float:
        """Of the whole run that is done, as it was planned."""
        done = self._trained * self._training.estimate + self._measured * self._measuring.estimate
        return done / self.schedule.total

    @property
    def _trained(self) -> float:
        if self._measuring.begun is not None or not self._training.estimate:
            return 1.0
        costs = self.schedule.trials
        done = sum(costs[key] for key in self._done if key in costs)
        done += sum(costs[key] * share for key, share in self._under_way.items() if key in costs)
        return done / self._training.estimate
