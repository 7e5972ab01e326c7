"""What a run will do, how long that is estimated to take, and how far it is.

A run is its trials, then the measuring of what they trained, then its reports. The time left is
what was planned, corrected by how long the first part of it has taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from bench.analysis.metrics.base import METRICS
from bench.analysis.metrics.latency import percentile
from bench.data.audit.result import KeptAudit
from bench.execution.estimate import UNKNOWN
from bench.execution.plan import Plan
from bench.inference.measuring.pending import measuring_seconds
from bench.inference.runtimes import choose_runtimes
from bench.storage.records import TEST_ARRAYS, VALIDATION_ARRAYS, Evidence
from bench.training.events import (
    EpochEnded,
    Event,
    Listener,
    RecordMade,
    RecordMeasured,
    RunProgress,
    RuntimeMeasured,
    StageProgress,
    TrialEnded,
)
from bench.types import Record, Trial

REPORT_SECONDS = 10.0


@dataclass(frozen=True)
class Schedule:
    """The estimated seconds of a run's parts."""

    trials: Mapping[str, float]  # those to be trained, by their keys
    measuring: float
    reports: float = REPORT_SECONDS
    known: bool = True  # whether every backbone declares its cost

    @property
    def total(self) -> float:
        return sum(self.trials.values()) + self.measuring + self.reports


def make_schedule(plan: Plan, todo: Sequence[Trial], unmeasured: Collection[str] = ()) -> Schedule:
    """Estimate the trials `todo`, and the measuring of their backbones and of those `unmeasured`,
    which are trained already."""
    keys = {trial.key for trial in todo}
    runtimes = len(choose_runtimes(plan.measuring.runtimes))
    images = len(plan.dataset.splits["test"])
    seconds: dict[str, float] = {}
    measuring, known = 0.0, True
    for planned in plan.planned:
        trials = [trial for trial in planned.trials if trial.key in keys]
        if not trials and planned.name not in unmeasured:
            continue
        known &= planned.cost is not None
        cost = planned.cost or UNKNOWN
        seconds |= planned.seconds(trials)
        measuring += cost.probes
        measuring += measuring_seconds(cost.image, images, plan.measuring.latency_seconds, runtimes)
    return Schedule(seconds, measuring, known=known)


@dataclass(frozen=True)
class RunPreview:
    """What the run will do, and what its folder already holds."""

    plan: Plan
    untrained: tuple[Trial, ...]  # to be trained
    unmeasured: tuple[Trial, ...]  # trained, and still to be measured
    folder: Path
    audit: KeptAudit | None
    decoded: bool = True  # else what is known of the images is what their files' names say

    @property
    def schedule(self) -> Schedule:
        """Return how long it is estimated to take."""
        return make_schedule(self.plan, self.untrained, {t.name for t in self.unmeasured})


RunEvent: TypeAlias = Event | RunPreview
RunListener: TypeAlias = Callable[[RunEvent], None]


ENOUGH = 0.1  # the share of a part after which its own pace replaces the estimate


class ProgressTracker:
    """Passes a run's events on, each followed by the events derived from it."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        schedule: Schedule,
        listener: Listener,
        judged_by: str = "accuracy",
        kept: Iterable[Record] = (),
    ) -> None:
        """`judged_by`: the metric that is told of a trial when it ends; `kept`: the records that
        are there already, whose measurements are not announced again."""
        self._metric = METRICS[judged_by]
        self._classes, self._folder = plan.dataset.classes, folder
        self._epochs = {phase.name: phase.epochs for phase in plan.protocol.phases}
        self._listener, self._time = listener, TimeLeft(schedule)
        self._phases: dict[str, tuple[str, int]] = {}  # of each trial, and its finished epochs
        self._announced = {record.trial.key: [*record.runtimes] for record in kept}
        self._report_time()

    def __call__(self, event: Event) -> None:
        self._listener(event)
        match event:
            case StageProgress(work="measuring"):
                self._time.measuring(event.done / event.total if event.total else 0.0)
            case StageProgress():
                self._time.trial(event.trial.key, self._share(event))
            case EpochEnded():
                self._phases[event.trial.key] = event.phase, event.number
            case RecordMeasured(record):
                for measured in self._measured(record):
                    self._listener(measured)
            case RecordMade(record):
                self._time.end(record.trial.key)
                self._listener(self._ended(record))
        self._report_time()

    def _report_time(self) -> None:
        self._listener(RunProgress(self._time.share, self._time.seconds))

    def _share(self, event: StageProgress) -> float:
        """Return how much of a trial is done: one half is the frozen part, one its phases."""
        within = event.done / event.total if event.total else 0.0
        if event.work != "phase":
            return 0.5 * within
        phase, epochs = self._phases.get(event.trial.key, ("", 0))
        if event.stage != phase:
            self._phases[event.trial.key], epochs = (event.stage, 0), 0
        # Early stopping may end a phase long before its last epoch: each has its own share.
        within = (epochs + within) / self._epochs[event.stage]
        return 0.5 + 0.5 * (list(self._epochs).index(event.stage) + within) / len(self._epochs)

    def _ended(self, record: Record) -> TrialEnded:
        if record.status == "failed":
            return TrialEnded(record, None, 0.0)
        took = record.seconds.get("total", 0.0) - record.seconds.get("reused", 0.0)
        evidence = self._evidence(record, *TEST_ARRAYS, *VALIDATION_ARRAYS)
        accuracy = self._metric.compute(evidence) if record.pretrained else None
        return TrialEnded(record, accuracy, took)

    def _measured(self, record: Record) -> Iterator[RuntimeMeasured]:
        announced = self._announced.setdefault(record.trial.key, [])
        for result in record.runtimes:
            if result in announced:
                continue
            announced.append(result)
            failed = result.status == "failed"
            evidence = self._evidence(record, f"latency_{result.name}_b1")
            latency = None if failed else percentile(evidence, 50, result.name)
            yield RuntimeMeasured(record.trial, result, latency)

    def _evidence(self, record: Record, *only: str) -> Evidence:
        return Evidence(record, self._classes, self._folder, only)


@dataclass
class _Part:
    """One part of the run: what it should take, how much of it is done, and since when."""

    estimate: float
    begun: float | None = None

    def left(self, share: float, now: float) -> float:
        spent = 0.0 if self.begun is None else now - self.begun
        if share >= ENOUGH:
            return spent * (1 - share) / share
        # A part that has hardly begun after so long will take at least as long again.
        return max(self.estimate - spent, spent)


@dataclass
class TimeLeft:
    """The time that a run still takes, from the shares of it that are done."""

    schedule: Schedule
    clock: Callable[[], float] = time.monotonic
    _under_way: dict[str, float] = field(default_factory=dict)  # shares of trials that are done
    _done: float = 0.0  # of the estimated seconds of all trials
    _measured: float = 0.0

    def __post_init__(self) -> None:
        self._training = _Part(sum(self.schedule.trials.values()), self.clock())
        self._measuring = _Part(self.schedule.measuring)

    def trial(self, key: str, share: float) -> None:
        """Note how much of a trial is done."""
        before = self._under_way.get(key, 0.0)
        self._under_way[key] = max(share, before)
        self._done += (self._under_way[key] - before) * self.schedule.trials.get(key, 0.0)

    def end(self, key: str) -> None:
        """Note that a trial has ended, which it does once."""
        before = self._under_way.pop(key, 0.0)
        self._done += (1 - before) * self.schedule.trials.get(key, 0.0)

    def measuring(self, share: float) -> None:
        """Note how much of the measuring is done."""
        if self._measuring.begun is None:
            self._measuring.begun = self.clock()
        self._measured = max(share, self._measured)

    @property
    def seconds(self) -> float:
        """Return the seconds left: not 0 before the reports are written."""
        now = self.clock()
        left = self._measuring.left(self._measured, now) + self.schedule.reports
        if self._measuring.begun is None:
            left += self._training.left(self._trained, now)
        return left

    @property
    def share(self) -> float:
        """Return the share of the whole run that is done, by the planned times."""
        done = self._trained * self._training.estimate + self._measured * self._measuring.estimate
        return done / self.schedule.total

    @property
    def _trained(self) -> float:
        if self._measuring.begun is not None or not self._training.estimate:
            return 1.0
        return min(1.0, self._done / self._training.estimate)
