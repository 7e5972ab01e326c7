"""Coverage of the intervals, false positives of the tests, and calibration of the order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bench.analysis.sensitivity import find_flips
from bench.analysis.statistics import intervals
from bench.analysis.statistics.intervals import mean_variance, paired_difference
from bench.analysis.statistics.pairwise import compare_all, stability

from .worlds import CHUNK, USUAL, Floats, World, circumstances, simulate

FAMILY = 5
DRAWS = 400  # of the plain bootstrap
RATES, TUNED = 6, 10


def coverage(
    simulations: int, seeds: int, images: int, world: World = USUAL, seed: int = 0
) -> tuple[float, float]:
    """Return how often the intervals of an accuracy, and of a difference of two, hold the truth."""
    random = np.random.default_rng([seed, seeds, images, 0, world.stream])
    held, held_apart = 0, 0
    for _ in range(simulations // CHUNK):
        drawn = simulate(random, *circumstances(random, 2, world), seeds, images)
        low, high = intervals.accuracy_interval(drawn.correct[:, 0])
        held += _inside(low, drawn.truth[:, 0], high)
        apart = paired_difference(drawn.correct[:, 0], drawn.correct[:, 1])
        low, high = intervals.difference_interval(apart, images, seeds)
        held_apart += _inside(low, drawn.truth[:, 0] - drawn.truth[:, 1], high)
    done = simulations // CHUNK * CHUNK
    return held / done, held_apart / done


def change_coverage(
    simulations: int, seeds: int, images: int, world: World = USUAL, seed: int = 0
) -> float:
    """Return the coverage for the change from one phase to the next of the same trained networks.

    The first phase predicts without the interaction of seed and image, the second with it and 1
    point better.
    """
    random = np.random.default_rng([seed, seeds, images, 1, world.stream])
    held = 0
    for _ in range(simulations // CHUNK):
        accuracy, points = circumstances(random, 1, world)
        both = np.concatenate([accuracy - 0.01, accuracy], axis=1)
        drawn = simulate(random, both, np.repeat(points / 2, 2, axis=1), seeds, images)
        change = drawn.correct[:, 1].astype(np.int8) - drawn.correct[:, 0]
        low, high = intervals.difference_interval(mean_variance(change), images, seeds)
        held += _inside(low, drawn.truth[:, 1] - drawn.truth[:, 0], high)
    return held / (simulations // CHUNK * CHUNK)


def plain_bootstrap_coverage(
    simulations: int, seeds: int, images: int, world: World = USUAL, seed: int = 0
) -> float:
    """Return the coverage of a plain bootstrap, which draws seeds and images with replacement."""
    random = np.random.default_rng([seed, seeds, images, 2, world.stream])
    held = 0
    for _ in range(simulations // CHUNK):
        drawn = simulate(random, *circumstances(random, 1, world), seeds, images)
        # The same draws for a whole chunk: only their own noise is then shared.
        of_images = random.multinomial(images, np.full(images, 1 / images), DRAWS) / images
        of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS) / seeds
        by_seed = drawn.correct[:, 0].astype(np.float64) @ of_images.T
        means = np.einsum("csd,ds->cd", by_seed, of_seeds)
        low, high = np.quantile(means, (0.025, 0.975), axis=1)
        held += _inside(low, drawn.truth[:, 0], high)
    return held / (simulations // CHUNK * CHUNK)


def called_different(
    simulations: int, seeds: int, images: int, points: float | None = None, seed: int = 0
) -> float:
    """Return the fraction of families of equal backbones in which any two differ significantly.

    `points` is the standard deviation of the seeds. Without it, it is drawn, and is 0 for one seed;
    then the trained networks are equal, and not only their backbones.
    """
    random = np.random.default_rng([seed, seeds, images, 3])
    found = 0
    for _ in range(simulations):
        accuracy, drawn_points = (part[:1, :1] for part in circumstances(random, 1))
        drawn_points = drawn_points if seeds > 1 else np.zeros((1, 1))
        each = drawn_points if points is None else np.full((1, 1), points)
        family = simulate(
            random, np.repeat(accuracy, FAMILY, 1), np.repeat(each, FAMILY, 1), seeds, images
        )
        found += any(c.differ for c in compare_all(family.correct[0]))
    return found / simulations


def false_flips(simulations: int, seeds: int, images: int, seed: int = 0) -> tuple[float, float]:
    """Return the fraction of runs of equal backbones in which a flip between two learning rates is
    significant, and that without a correction.

    The predictions of a backbone at different rates are independent, which is the hardest case.
    """
    random = np.random.default_rng([seed, seeds, images, 8])
    corrected = plain = 0
    for _ in range(simulations):
        accuracy, points = (part[:1, :1] for part in circumstances(random, 1))
        luck = points if seeds > 1 else np.zeros((1, 1))
        networks = TUNED * RATES
        drawn = simulate(
            random, np.repeat(accuracy, networks, 1), np.repeat(luck, networks, 1), seeds, images
        )
        by_backbone = drawn.correct[0].reshape(TUNED, RATES, seeds, images)
        right = {
            str(backbone): {float(r): dict(enumerate(one)) for r, one in enumerate(correct)}
            for backbone, correct in enumerate(by_backbone)
        }
        flips = find_flips("test", right)
        corrected += any(flip.significant for flip in flips)
        plain += any(max(flip.ahead.p, flip.behind.p) <= 0.05 for flip in flips)
    return corrected / simulations, plain / simulations


def order_calibration(simulations: int, seeds: int, images: int, seed: int = 0) -> list[str]:
    """Return the fraction of pairs that are truly in order, by their reported confidence."""
    random = np.random.default_rng([seed, seeds, images, 4])
    said, true = [], []
    for _ in range(simulations):
        accuracy, points = (part[:1, :1] for part in circumstances(random, 1))
        both = np.concatenate([accuracy, accuracy + random.normal(0, 0.01, (1, 1))], axis=1)
        drawn = simulate(random, np.minimum(both, 0.995), np.repeat(points, 2, 1), seeds, images)
        beats = stability(drawn.correct[0], max_draws=1000).beats[0, 1]
        better = drawn.truth[0, 0] > drawn.truth[0, 1]
        said.append(max(beats, 1 - beats))
        true.append(better == (beats > 0.5))
    steps = (0.5, 0.7, 0.9, 0.99, 1.001)
    shown = []
    for low, high in pairwise(steps):
        inside = [t for s, t in zip(said, true, strict=True) if low <= s < high]
        share = f"{100 * float(np.mean(inside)):.0f}%" if inside else "none"
        shown.append(f"{low:.0%}+: {share} of {len(inside)}")
    return shown


def _inside(low: Floats, truth: Floats, high: Floats) -> int:
    return int(((low <= truth) & (truth <= high)).sum())
