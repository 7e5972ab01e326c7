"""Which backbones are worth their cost: the Pareto front of accuracy and a cost.

Costs are measured closely, accuracies are not: a backbone off the front is `dominated` only if the
95% interval of its difference from a more accurate one that costs no more excludes zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from bench.analysis.verdict import Pair

Worth = Literal["front", "undecided", "dominated"]


def worth(
    costs: Mapping[str, float], accuracies: Mapping[str, float], pairs: Sequence[Pair]
) -> dict[str, Worth]:
    """Return the place of each backbone, cheapest first; a lower cost is better."""
    shown = {(pair.better, pair.other) for pair in pairs if pair.low > 0}
    places: dict[str, Worth] = {}
    for label in sorted(costs, key=lambda name: (costs[name], -accuracies[name])):
        # Of equals the first is on the front.
        better = [other for other in places if accuracies[other] >= accuracies[label]]
        dominated = any((other, label) in shown for other in better)
        places[label] = "dominated" if dominated else "undecided" if better else "front"
    return places
