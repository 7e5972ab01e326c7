"""Rules for comparisons in CI: `accuracy drops 0.01`, `latency_p50_ms rises 10%`.

A rule names a change that is not acceptable, and applies to every backbone of both runs. If a
figure is missing or cannot be compared, the rule cannot be judged, which counts as broken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bench.analysis.comparison import PAIRED, ChangedFigure, Comparison, NotComparable
from bench.errors import BenchError, UnknownNameError, UsageError

_RULE = re.compile(
    r"(?P<figure>\w+)\s+(?P<surely>surely\s+)?(?P<direction>drops|rises)"
    r"(?:\s+by)?\s+(?P<amount>\d+(?:\.\d*)?|\.\d+)\s*(?P<percent>%?)"
)


@dataclass(frozen=True)
class Rule:
    """A change of one figure that is not acceptable."""

    text: str
    figure: str
    direction: Literal["drops", "rises"]
    amount: float
    relative: bool  # `amount` is a fraction of the figure before
    surely: bool  # the whole interval must be beyond `amount`, not only the measured change

    def is_broken_by(self, change: ChangedFigure) -> bool:
        """Return whether the change is at least as large as the rule forbids."""
        least = self.amount * abs(change.before) if self.relative else self.amount
        sign = -1 if self.direction == "drops" else 1
        if not self.surely:
            # Rounding must not decide: in floating point 0.95 - 0.94 is more than 0.01.
            return sign * change.difference >= least - 1e-9
        assert change.low is not None  # `parse_rule` accepts only figures with an interval
        assert change.high is not None
        return min(sign * change.low, sign * change.high) >= least


@dataclass(frozen=True)
class RuleResult:
    """The changes that break a rule, and the backbones that it cannot judge."""

    rule: Rule
    broken: tuple[ChangedFigure, ...]
    not_judged: tuple[NotComparable, ...]


def apply_rule(comparison: Comparison, rule: Rule, *, allow_missing: bool = False) -> RuleResult:
    """Apply a rule to every backbone; `BenchError` if it can judge none."""
    changes = [change for change in comparison.changes if change.figure == rule.figure]
    missing = tuple(n for n in comparison.refused if n.includes(n.label, rule.figure))
    if not changes and (allow_missing or not missing):
        reasons = "; ".join(dict.fromkeys(f"{n.label}: {n.reason}" for n in missing))
        raise BenchError(
            f"rule {rule.text!r} can judge no backbone ({reasons or 'the runs have none'})."
        )
    return RuleResult(rule, tuple(c for c in changes if rule.is_broken_by(c)), missing)


def parse_rule(text: str, figures: Iterable[str]) -> Rule:
    """Parse a rule about one of `figures`; `UsageError` if it is not valid."""
    match = _RULE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"rule {text!r} is not of the form 'FIGURE [surely] drops|rises AMOUNT[%]', "
            f"such as 'accuracy drops 0.01' or 'latency_p50_ms rises 10%'."
        )
    known = list(figures)
    if match["figure"] not in known:
        raise UnknownNameError("figure", match["figure"], known)
    if match["surely"] and match["figure"] not in PAIRED:
        raise UsageError(
            f"rule {text!r}: 'surely' needs an interval that is valid from run to run, which only "
            f"{' and '.join(PAIRED)} have; leave the word out."
        )
    relative = bool(match["percent"])
    amount = float(match["amount"])
    if amount == 0:
        raise UsageError(f"rule {text!r} has an amount of 0, which every change reaches.")
    return Rule(
        text=text.strip(),
        figure=match["figure"],
        direction="drops" if match["direction"] == "drops" else "rises",
        amount=amount / 100 if relative else amount,
        relative=relative,
        surely=bool(match["surely"]),
    )
