"""The estimated cost of a screening's rounds, and how many backbones its budget allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench.analysis.format import estimate, quantity
from bench.analysis.screening import MIN_KEPT, count_affordable
from bench.execution.estimate import STARTUP_SECONDS, UNKNOWN_COST
from bench.execution.preparing import Preparation
from bench.execution.progress import REPORT_SECONDS, RunListener, Schedule, make_schedule
from bench.execution.request import ScreenRequest
from bench.training.augment import PLAIN, fixed_views
from bench.training.events import Note
from bench.types import Dataset, Measuring

FINAL = "final"


class ScreeningCosts:
    """Estimated seconds of each round for each backbone, checked against the budget."""

    def __init__(self, prepared: Preparation, dataset: Dataset, listener: RunListener) -> None:
        request = prepared.request
        assert isinstance(request, ScreenRequest)
        self.request, self.listener = request, listener
        self.plan = prepared.plan(dataset)
        self.plan.refuse_empty()
        protocol = prepared.protocol
        first = protocol.phases[0]
        self.early_plan = replace(  # for the rounds before the final
            prepared,
            protocol=replace(protocol, phases=(first,)),
            request=replace(request, seeds=request.seeds[:1], fractions=(1.0,), robustness=False),
            say=lambda text: None,
        ).plan(dataset)
        self.early_plan = replace(self.early_plan, measuring=Measuring())
        self.sample = min(request.sample, len(dataset.splits["train"]))
        head = len(protocol.phases) > 1 and first.unfreeze.kind == "none"
        known = [one for one in self.plan.planned if one.weights is not None]
        self.rounds = ("probes", "head", FINAL) if head and known else ("probes", FINAL)
        # The head round reuses the features of the probed images, if it trains on that view.
        reused = request.cache_features and PLAIN in fixed_views(first.augment)
        # Seconds by round and backbone; a backbone is missing from a round that it skips.
        self.by_round: dict[str, dict[str, float]] = {name: {} for name in self.rounds}
        for one, early in zip(self.plan.planned, self.early_plan.planned, strict=True):
            cost = early.cost or UNKNOWN_COST
            self.by_round["probes"][one.name] = STARTUP_SECONDS + cost.per_image * self.sample
            if head and one in known:
                probed = cost.per_image * self.sample if reused else 0.0
                self.by_round["head"][one.name] = cost.shared + cost.per_trial - probed
            whole = make_schedule(replace(self.plan, planned=(one,)), one.trials)
            self.by_round[FINAL][one.name] = whole.total - REPORT_SECONDS
        self.pace = 1.0  # measured seconds of the last round per estimated second
        self.spent = 0.0  # seconds
        self._announce_rounds()

    def _announce_rounds(self) -> None:
        """Send a note for each round with its backbones and estimated time."""
        plan, final = self.plan, sorted(self.by_round[FINAL].values())
        train = len(plan.dataset.splits["train"])
        took = {name: estimate(sum(each.values())) for name, each in self.by_round.items()}
        many = quantity(len(final), "backbone")
        lines = [
            f"probes: {many} on {self.sample:,} of {train:,} training images, {took['probes']}"
        ]
        if "head" in self.by_round:
            pretrained = len(self.by_round["head"])
            lines.append(f"head: those left of {pretrained} pretrained, at most {took['head']}")
        else:
            lines.append("no head round: no pretrained weights, or the protocol has no such phase")
        finalists = self.request.finalists
        few = "those left" if finalists is None else f"{finalists} at most"
        each = f"{estimate(final[0])} to {estimate(final[-1])} each"
        lines.append(f"final, the whole protocol: {few}, {each}; all {len(final)}: {took[FINAL]}")
        for number, line in enumerate(lines, 1):
            self.listener(Note(f"round {number}: {line} (estimated)"))

    def entry_limit(self, *rounds: str) -> Callable[[Sequence[str]], int]:
        """Return a function that limits how many backbones may enter the next round.

        `rounds` are those still to come, the next first. The function takes the names of the
        candidates, the preferred first, and returns how many of them the budget allows.
        """

        def limit(order: Sequence[str]) -> int:
            if self.request.finalists is not None:
                return self.request.finalists if rounds == (FINAL,) else len(order)
            # Reserve the time of two backbones for each later round.
            reserved = sum(
                self.by_round[r].get(name, 0.0) for r in rounds[1:] for name in order[:2]
            )
            costs = [self.by_round[rounds[0]].get(name, 0.0) * self.pace for name in order]
            return count_affordable(costs, self.request.seconds - self.spent - reserved * self.pace)

        return limit

    def schedule(self, trials: Mapping[str, float], order: Sequence[str], *later: str) -> Schedule:
        """Estimate the rest of the screening: this round's `trials`, then the rounds `later`.

        The later rounds are counted with the first backbones of `order`, as many as may be left.
        """
        most = self.request.finalists or MIN_KEPT
        rest = sum(self.by_round[r].get(name, 0.0) for r in later for name in order[:most])
        paced = {key: seconds * self.pace for key, seconds in trials.items()}
        return Schedule(paced, 0.0, rest * self.pace + REPORT_SECONDS)
