"""Rules that fail a comparison: `accuracy drops 0.01`, `latency_p50_ms surely rises 10%`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bench.errors import UnknownNameError, UsageError
from bench.report.comparison import Change

_RULE = re.compile(
    r"(?P<figure>\w+)\s+(?P<surely>surely\s+)?(?P<way>drops|rises)"
    r"(?:\s+by)?\s+(?P<amount>\d+(?:\.\d*)?|\.\d+)\s*(?P<percent>%?)"
)


@dataclass(frozen=True)
class Rule:
    """A change of one figure that is not to be accepted."""

    text: str
    figure: str
    way: Literal["drops", "rises"]
    amount: float
    relative: bool  # a share of what it was before
    surely: bool  # the whole interval must lie beyond, not the measured change alone

    def broken_by(self, change: Change) -> bool:
        """Whether the figure changed as the rule forbids."""
        least = self.amount * abs(change.before) if self.relative else self.amount
        sign = -1 if self.way == "drops" else 1
        if not self.surely:
            # A hair's breadth of rounding must not decide: 0.95 - 0.94 is more than 0.01.
            return sign * change.difference >= least - 1e-9
        if change.low is None or change.high is None:
            return False
        return min(sign * change.low, sign * change.high) >= least


def parse_rule(text: str, figures: Iterable[str]) -> Rule:
    """Read one rule; an error says what a rule looks like."""
    match = _RULE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"rule {text!r} is not of the form 'FIGURE [surely] drops|rises AMOUNT[%]', "
            f"such as 'accuracy drops 0.01' or 'latency_p50_ms rises 10%'."
        )
    known = list(figures)
    if match["figure"] not in known:
        raise UnknownNameError("figure", match["figure"], known)
    relative = bool(match["percent"])
    amount = float(match["amount"])
    if amount == 0:
        raise UsageError(f"rule {text!r} has an amount of 0, which every figure reaches.")
    return Rule(
        text=text.strip(),
        figure=match["figure"],
        way="drops" if match["way"] == "drops" else "rises",
        amount=amount / 100 if relative else amount,
        relative=relative,
        surely=bool(match["surely"]),
    )
