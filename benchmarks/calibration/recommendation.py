"""The loss of the recommendation, and how often it takes a backbone that is truly worse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.analysis.statistics.margin import place
from bench.analysis.statistics.pairwise import compare_all, paired_differences

from .worlds import USUAL, circumstances, simulate

# As 12 configurations of pretrained backbones on 17 classes of flowers; the cheapest is last.
UNEQUAL = np.array([91.5, 91.1, 90.6, 90, 89.4, 88.6, 87.5, 86.3, 85, 82.9, 80.5, 78.4]) / 100
UNEQUAL_IMAGES = 850
MARGIN = 0.01


@dataclass(frozen=True)
class Loss:
    """Mean true accuracy of the chosen backbone below that of the best, in points, by rule."""

    recommended: float
    best_observed: float
    not_significant: float  # the cheapest that does not differ significantly; of a quarter of them


def loss(simulations: int, seeds: int, images: int = UNEQUAL_IMAGES, seed: int = 0) -> Loss:
    """Return the loss in the world of 12 unequal backbones, of which the worse are cheaper."""
    random = np.random.default_rng([seed, seeds, images, 5])
    lost = np.full((simulations, 3), np.nan)
    for number in range(simulations):
        points = random.uniform(*USUAL.points, (1, 1))
        drawn = simulate(random, UNEQUAL[None], np.repeat(points, len(UNEQUAL), 1), seeds, images)
        correct, truth = drawn.correct[0], drawn.truth[0]
        apart = paired_differences(correct)
        placed = place(correct, MARGIN, apart)
        best = next(k for k, one in enumerate(placed) if one.place == "best")
        within = [k for k, one in enumerate(placed) if one.place in ("best", "within")]
        lost[number, :2] = truth.max() - truth[[max(within), best]]
        if number % 4 == 0:  # the pairwise tests take most of the time
            pairs = [c for c in compare_all(correct, apart) if best in (c.first, c.second)]
            tied = [c.first + c.second - best for c in pairs if not c.differ]
            lost[number, 2] = truth.max() - truth[max([best, *tied])]
    return Loss(*(100 * float(mean) for mean in np.nanmean(lost, axis=0)))


def taken_though_behind(
    simulations: int, seeds: int, images: int, behind: float, others: int = 1, seed: int = 0
) -> tuple[float, float]:
    """Return the fraction of runs that recommend a truly worse backbone because it is cheaper, and
    the fraction that recommend one at all, also if it came out best.

    `others` are the cheaper backbones, all `behind` points worse; with one seed, the networks are.
    """
    random = np.random.default_rng([seed, seeds, images, 6, others])
    cheaper = at_all = 0
    for _ in range(simulations):
        best, points = (part[:1, :1] for part in circumstances(random, 1))
        accuracy = np.concatenate([best, np.repeat(best - behind / 100, others, 1)], axis=1)
        luck = np.repeat(points if seeds > 1 else np.zeros((1, 1)), 1 + others, 1)
        drawn = simulate(random, accuracy, luck, seeds, images)
        places = {one.place for one in place(drawn.correct[0], MARGIN)[1:]}
        cheaper += "within" in places
        at_all += bool(places & {"best", "within"})
    return cheaper / simulations, at_all / simulations


def called_worse(simulations: int, seeds: int, images: int, family: int, seed: int = 0) -> float:
    """Return the fraction of families of equal backbones in which one is called worse."""
    random = np.random.default_rng([seed, seeds, images, 7, family])
    found = 0
    for _ in range(simulations):
        accuracy, points = (part[:1, :1] for part in circumstances(random, 1))
        luck = points if seeds > 1 else np.zeros((1, 1))
        drawn = simulate(
            random, np.repeat(accuracy, family, 1), np.repeat(luck, family, 1), seeds, images
        )
        found += any(one.place == "worse" for one in place(drawn.correct[0], MARGIN))
    return found / simulations
