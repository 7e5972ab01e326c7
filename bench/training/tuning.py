"""The budget of learning rates: the same for every backbone, and chosen on validation alone.

A rate that suits one network can sink another, so with `--tune N` each trial is trained at N
multiples of the protocol's rates. One multiplier holds for all phases: the ratio between them is
the protocol's, and a budget of N is N trainings, not N to the number of phases. Each trial chooses
for itself, whichever others there are, so the spread over seeds covers the choice too.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10

from bench.types import TriedRate

LARGEST_BUDGET = 9  # two decades either way


def multipliers(budget: int) -> tuple[float, ...]:
    """`budget` multiples of the protocol's rates, half a decade apart, the lowest first.

    The protocol's own is always among them, then one step lower, one higher, and so on: a larger
    budget holds all of a smaller one.
    """
    steps = range(-(budget // 2), (budget - 1) // 2 + 1)
    return tuple(10 ** (step / 2) for step in steps)


def best(tried: Sequence[TriedRate]) -> TriedRate | None:
    """The one with the least validation loss; of equals the nearest to the protocol's own rate,
    and then the lower. `None` where training came to nothing at every rate."""
    usable = [rate for rate in tried if rate.val_loss is not None]
    return min(usable, key=_worth, default=None)


def _worth(rate: TriedRate) -> tuple[float, int, float]:
    assert rate.val_loss is not None  # only usable rates are compared
    return rate.val_loss, abs(round(2 * log10(rate.multiplier))), rate.multiplier
