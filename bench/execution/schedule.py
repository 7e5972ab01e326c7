"""What a run will do, and what that is estimated to take: its trials, the measuring of what they
train, its reports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench.data.audit.result import KeptAudit
from bench.execution.estimate import STARTUP_SECONDS, Cost
from bench.execution.plan import Plan
from bench.inference.measuring.pending import measuring_seconds
from bench.inference.runtimes import choose_runtimes
from bench.training.events import Event
from bench.types import Trial

REPORT_SECONDS = 10.0
UNKNOWN = Cost(shared=STARTUP_SECONDS, each=48.0, image=0.05)  # of a backbone that declares none


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
    runtimes = len(choose_runtimes(plan.measuring.runtimes)[0])
    images = len(plan.dataset.splits["test"])
    seconds: dict[str, float] = {}
    measuring, known = 0.0, True
    for planned in plan.planned:
        trials = [trial for trial in planned.trials if trial.key in keys]
        if not trials and planned.backbone not in unmeasured:
            continue
        known &= planned.cost is not None
        cost = planned.cost or UNKNOWN
        for number, trial in enumerate(trials):
            # The first pays for what all of them share.
            seconds[trial.key] = cost.each * trial.fraction + (0.0 if number else cost.shared)
        measuring += measuring_seconds(cost.image, images, plan.measuring.latency_seconds, runtimes)
    return Schedule(seconds, measuring, known=known)


@dataclass(frozen=True)
class Planned:
    """What the run will do, and what its folder already holds."""

    plan: Plan
    waiting: tuple[Trial, ...]  # to be trained
    unmeasured: tuple[Trial, ...]  # trained, and still to be measured
    folder: Path
    audit: KeptAudit | None
    decoded: bool = True  # else what is known of the images is what their files' names say

    @property
    def schedule(self) -> Schedule:
        """Return how long it is estimated to take."""
        return make_schedule(self.plan, self.waiting, {t.backbone for t in self.unmeasured})


RunEvent: TypeAlias = Event | Planned
RunListener: TypeAlias = Callable[[RunEvent], None]
