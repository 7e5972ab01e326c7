"""What a run will do, its estimated duration, and its progress.

A run consists of its trials, then the measuring of the trained models, then the reports. The time
left is the estimate, corrected by the time that the finished part has taken.
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
from bench.execution.estimate import UNKNOWN_COST
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

    trials: Mapping[str, float]  # to be trained, by key
    measuring: float
    reports: float = REPORT_SECONDS
    known: bool = True  # whether every backbone declares its arithmetic

    @property
    def total(self) -> float:
        return sum(self.trials.values()) + self.measuring + self.reports


def make_schedule(plan: Plan, todo: Sequence[Trial], unmeasured: Collection[str] = ()) -> Schedule:
    """Estimate the seconds to train the trials `todo` and to measure their backbones.

    `unmeasured`: the names of further backbones to measure, which are trained already.
    """
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
        cost = planned.cost or UNKNOWN_COST
        seconds |= planned.seconds(trials)
        measuring += cost.probes
        measuring += measuring_seconds(
            cost.per_image, images, plan.measuring.latency_seconds, runtimes
        )
    return Schedule(seconds, measuring, known=known)


@dataclass(frozen=True)
class RunPreview:
    """What a run will do, given what its folder already holds."""

    plan: Plan
    untrained: tuple[Trial, ...]  # to be trained
    unmeasured: tuple[Trial, ...]  # trained, and still to be measured
    folder: Path
    audit: KeptAudit | None
    decoded: bool = True  # False: the plan is based on file names, since no image is decoded

    @property
    def schedule(self) -> Schedule:
        """Return the estimated duration of each part of the run."""
        return make_schedule(self.plan, self.untrained, {t.name for t in self.unmeasured})


RunEvent: TypeAlias = Event | RunPreview
RunListener: TypeAlias = Callable[[RunEvent], None]


MIN_SHARE = 0.1  # fraction of a part after which its measured pace replaces the estimate


class ProgressTracker:
    """A listener that passes a run's events on, each followed by the events derived from it."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        schedule: Schedule,
        listener: Listener,
        judged_by: str = "accuracy",
        kept: Iterable[Record] = (),
    ) -> None:
        """`judged_by`: the metric reported when a trial ends; `kept`: the existing records, whose
        measurements are not announced again."""
        self._metric = METRICS[judged_by]
        self._classes, self._folder = plan.dataset.classes, folder
        self._epochs = {phase.name: phase.epochs for phase in plan.protocol.phases}
        self._listener, self._time = listener, TimeLeft(schedule)
        self._phases: dict[str, tuple[str, int]] = {}  # phase and finished epochs, by trial key
        self._announced = {record.trial.key: [*record.runtimes] for record in kept}
        self._report_time()

    def __call__(self, event: Event) -> None:
        self._listener(event)
        match event:
            case StageProgress(work="measuring"):
                self._time.update_measuring(event.done / event.total if event.total else 0.0)
            case StageProgress():
                self._time.update_trial(event.trial.key, self._trial_share(event))
            case EpochEnded():
                self._phases[event.trial.key] = event.phase, event.number
            case RecordMeasured(record):
                for measured in self._new_measurements(record):
                    self._listener(measured)
            case RecordMade(record):
                self._time.end_trial(record.trial.key)
                self._listener(self._trial_ended(record))
        self._report_time()

    def _report_time(self) -> None:
        self._listener(RunProgress(self._time.share, self._time.seconds))

    def _trial_share(self, event: StageProgress) -> float:
        """Return the finished fraction of a trial: the frozen part is one half, the phases one."""
        within = event.done / event.total if event.total else 0.0
        if event.work != "phase":
            return 0.5 * within
        phase, epochs = self._phases.get(event.trial.key, ("", 0))
        if event.stage != phase:
            self._phases[event.trial.key], epochs = (event.stage, 0), 0
        # Every phase counts the same, since early stopping may end one long before its last epoch.
        within = (epochs + within) / self._epochs[event.stage]
        return 0.5 + 0.5 * (list(self._epochs).index(event.stage) + within) / len(self._epochs)

    def _trial_ended(self, record: Record) -> TrialEnded:
        if record.status == "failed":
            return TrialEnded(record, None, 0.0)
        took = record.seconds.get("total", 0.0) - record.seconds.get("reused", 0.0)
        evidence = self._evidence(record, *TEST_ARRAYS, *VALIDATION_ARRAYS)
        accuracy = self._metric.compute(evidence) if record.pretrained else None
        return TrialEnded(record, accuracy, took)

    def _new_measurements(self, record: Record) -> Iterator[RuntimeMeasured]:
        """Yield an event for each runtime result that has not been announced."""
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
    """One part of the run: its estimated seconds, and when it started."""

    estimate: float
    started: float | None = None

    def left(self, share: float, now: float) -> float:
        """Return the seconds left when the fraction `share` is done."""
        spent = 0.0 if self.started is None else now - self.started
        if share >= MIN_SHARE:
            return spent * (1 - share) / share
        # An overdue part with almost nothing done takes at least as long again.
        return max(self.estimate - spent, spent)


@dataclass
class TimeLeft:
    """Estimates the seconds left of a run from the finished fractions of its parts."""

    schedule: Schedule
    clock: Callable[[], float] = time.monotonic
    _running: dict[str, float] = field(default_factory=dict)  # finished fraction, by trial key
    _done: float = 0.0  # estimated seconds of the finished part of all trials
    _measured: float = 0.0  # finished fraction of the measuring

    def __post_init__(self) -> None:
        self._training = _Part(sum(self.schedule.trials.values()), self.clock())
        self._measuring = _Part(self.schedule.measuring)

    def update_trial(self, key: str, share: float) -> None:
        """Set the finished fraction of a trial; it never decreases."""
        before = self._running.get(key, 0.0)
        self._running[key] = max(share, before)
        self._done += (self._running[key] - before) * self.schedule.trials.get(key, 0.0)

    def end_trial(self, key: str) -> None:
        """Count a trial as finished; call it once for each."""
        before = self._running.pop(key, 0.0)
        self._done += (1 - before) * self.schedule.trials.get(key, 0.0)

    def update_measuring(self, share: float) -> None:
        """Set the finished fraction of the measuring; it never decreases."""
        if self._measuring.started is None:
            self._measuring.started = self.clock()
        self._measured = max(share, self._measured)

    @property
    def seconds(self) -> float:
        """Return the seconds left; above 0 until the reports are written."""
        now = self.clock()
        left = self._measuring.left(self._measured, now) + self.schedule.reports
        if self._measuring.started is None:
            left += self._training.left(self._trained, now)
        return left

    @property
    def share(self) -> float:
        """Return the finished fraction of the whole run, by the estimated times."""
        done = self._trained * self._training.estimate + self._measured * self._measuring.estimate
        return done / self.schedule.total

    @property
    def _trained(self) -> float:
        if self._measuring.started is not None or not self._training.estimate:
            return 1.0
        return min(1.0, self._done / self._training.estimate)
