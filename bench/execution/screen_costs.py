"""What the rounds of a screening are estimated to take, and what its budget allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench.analysis.format import counted, estimate
from bench.analysis.screening import LEAST, affordable
from bench.execution.estimate import STARTUP_SECONDS, UNKNOWN_COST
from bench.execution.preparing import Preparation
from bench.execution.progress import REPORT_SECONDS, RunListener, Schedule, make_schedule
from bench.execution.request import ScreenRequest
from bench.training.augment import PLAIN, fixed_views
from bench.training.events import Note
from bench.types import Dataset, Measuring

FINAL = "final"


class Costs:
    """What each round takes of each backbone, in estimated seconds, and what the budget allows."""

    def __init__(self, prepared: Preparation, dataset: Dataset, listener: RunListener) -> None:
        request = prepared.request
        assert isinstance(request, ScreenRequest)
        self.request, self.listener = request, listener
        self.plan = prepared.plan(dataset)
        self.plan.refuse_empty()
        protocol = prepared.protocol
        first = protocol.phases[0]
        self.early = replace(  # the plan of the rounds before the last
            prepared,
            protocol=replace(protocol, phases=(first,)),
            request=replace(request, seeds=request.seeds[:1], fractions=(1.0,), robustness=False),
            say=lambda text: None,
        ).plan(dataset)
        self.early = replace(self.early, measuring=Measuring())
        self.sample = min(request.sample, len(dataset.splits["train"]))
        head = len(protocol.phases) > 1 and first.unfreeze.kind == "none"
        known = [one for one in self.plan.planned if one.weights is not None]
        self.rounds = ("probes", "head", FINAL) if head and known else ("probes", FINAL)
        # The features that the probes compute are kept for the head, if it is trained on those.
        reused = request.cache_features and PLAIN in fixed_views(first.augment)
        self.of: dict[str, dict[str, float]] = {name: {} for name in self.rounds}
        for one, early in zip(self.plan.planned, self.early.planned, strict=True):
            cost = early.cost or UNKNOWN_COST
            self.of["probes"][one.name] = STARTUP_SECONDS + cost.per_image * self.sample
            if head and one in known:
                probed = cost.per_image * self.sample if reused else 0.0
                self.of["head"][one.name] = cost.shared + cost.per_trial - probed
            whole = make_schedule(replace(self.plan, planned=(one,)), one.trials)
            self.of[FINAL][one.name] = whole.total - REPORT_SECONDS
        self.pace = 1.0  # seconds that a round took, for each that was estimated
        self.spent = 0.0
        self._outline()

    def _outline(self) -> None:
        plan, final = self.plan, sorted(self.of[FINAL].values())
        train = len(plan.dataset.splits["train"])
        took = {name: estimate(sum(each.values())) for name, each in self.of.items()}
        many = counted(len(final), "backbone")
        lines = [
            f"probes: {many} on {self.sample:,} of {train:,} training images, {took['probes']}"
        ]
        if "head" in self.of:
            pretrained = len(self.of["head"])
            lines.append(f"head: those left of {pretrained} pretrained, at most {took['head']}")
        else:
            lines.append("no head round: no pretrained weights, or the protocol has no such phase")
        left = self.request.finalists
        few = "those left" if left is None else f"{left} at most"
        each = f"{estimate(final[0])} to {estimate(final[-1])} each"
        lines.append(f"final, the whole protocol: {few}, {each}; all {len(final)}: {took[FINAL]}")
        for number, line in enumerate(lines, 1):
            self.listener(Note(f"round {number}: {line} (estimated)"))

    def allowed(self, *rounds: str) -> Callable[[Sequence[str]], int]:
        """Return a function that says how many of an order may enter the next of these rounds,
        which are still to come."""

        def number(order: Sequence[str]) -> int:
            if self.request.finalists is not None:
                return self.request.finalists if rounds == (FINAL,) else len(order)
            # Two are always left for each round after the next.
            kept = sum(self.of[r].get(name, 0.0) for r in rounds[1:] for name in order[:2])
            costs = [self.of[rounds[0]].get(name, 0.0) * self.pace for name in order]
            return affordable(costs, self.request.seconds - self.spent - kept * self.pace)

        return number

    def schedule(self, trials: Mapping[str, float], order: Sequence[str], *later: str) -> Schedule:
        """Return the time that is left, as the evidence may leave it."""
        most = self.request.finalists or LEAST
        rest = sum(self.of[r].get(name, 0.0) for r in later for name in order[:most])
        paced = {key: seconds * self.pace for key, seconds in trials.items()}
        return Schedule(paced, 0.0, rest * self.pace + REPORT_SECONDS)
