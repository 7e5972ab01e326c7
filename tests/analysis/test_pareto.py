"""The Pareto front of accuracy and a cost, and what only chance keeps off it."""

from __future__ import annotations

from bench.analysis.cost import pareto_places
from bench.analysis.verdict import Pair, Verdict


def ahead(*pairs: Pair) -> frozenset[tuple[str, str]]:
    return Verdict("", pairs=pairs).ahead


def pair(better: str, other: str, low: float) -> Pair:
    return Pair(better, other, 0.05, low, 0.1, 0.01, 0.01, 0.9, low > 0)


def test_a_backbone_is_dominated_only_if_the_interval_excludes_zero() -> None:
    costs = {"small": 1.0, "middle": 2.0, "large": 3.0, "huge": 4.0}
    accuracies = {"small": 0.90, "middle": 0.95, "large": 0.94, "huge": 0.90}
    shown = ahead(pair("middle", "large", -0.01), pair("middle", "huge", 0.02))
    assert pareto_places(costs, accuracies, shown) == {
        "small": "front",
        "middle": "front",
        "large": "undecided",
        "huge": "dominated",
    }


def test_a_better_backbone_that_costs_more_dominates_nothing() -> None:
    places = pareto_places(
        {"a": 2.0, "b": 1.0}, {"a": 0.99, "b": 0.90}, ahead(pair("a", "b", 0.05))
    )
    assert places == {"b": "front", "a": "front"}


def test_at_the_same_cost_the_more_accurate_is_on_the_front() -> None:
    assert pareto_places({"a": 1.0, "b": 1.0}, {"a": 0.9, "b": 0.95}, ahead()) == {
        "b": "front",
        "a": "undecided",
    }
