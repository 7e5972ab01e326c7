"""Do the report's intervals and tests keep what they promise? Simulated, where the truth is known.

    python benchmarks/statistics_calibration.py [--simulations 2000] [--parts coverage,...]

Whether an answer is right is the sign of a sum of normal draws: how hard the image is for everyone,
how this backbone takes to it, what one seed makes of it, and how lucky that seed is on all images.
So a backbone's true accuracy is known. Accuracies are drawn from 85 to 99%, and the standard
deviation of the seeds' true accuracies from 0 to 0.8 points, anew for each simulation. In the hard
world it is 97 to 99% and 0.7 to 1.2 points: few mistakes, and luck that outweighs them. With one
seed the truth is that of the trained network; with several it is the backbone's, over all seeds.

Coverage of the 95% intervals should be from 93 to 97%, and equal backbones should differ
significantly in at most 5% of the families. The recommendation should lose at most 0.3 points on
average in the world of 12 unequal backbones, and take a cheaper backbone that is truly 2 points
worse in at most 5% of the runs with 1,000 images. Ten equal backbones at six learning rates should
give a significant flip in at most 5% of the runs.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from bench.report.sensitivity import find_flips
from bench.statistics import intervals
from bench.statistics.margin import place
from bench.statistics.pairwise import compare_all, paired_differences
from bench.statistics.ranking import stability
from bench.statistics.spread import difference, spread

IMAGES = (200, 400, 1000)
SEEDS = (1, 2, 3, 5, 10)
IMAGE, TASTE, WHIM = 0.77, 0.5, 0.4  # standard deviations; their squares sum to one
CHUNK = 100  # simulations in memory at a time
FAMILY = 5
DRAWS = 400  # of the plain bootstrap

# As 12 configurations of pretrained backbones on 17 classes of flowers; the cheapest is last.
UNEQUAL = np.array([91.5, 91.1, 90.6, 90, 89.4, 88.6, 87.5, 86.3, 85, 82.9, 80.5, 78.4]) / 100
UNEQUAL_IMAGES = 850
MARGIN = 0.01
RATES, TUNED = 6, 10

Floats = NDArray[Any]


@dataclass(frozen=True)
class World:
    """Ranges that circumstances are drawn from."""

    name: str
    stream: int  # of random numbers: worlds must not share their luck
    accuracy: tuple[float, float]
    points: tuple[float, float]  # standard deviation of the seeds' true accuracies


USUAL = World("usual", 0, (0.85, 0.99), (0.0, 0.8))
HARD = World("hard", 1, (0.97, 0.99), (0.7, 1.2))


@dataclass(frozen=True)
class Simulated:
    """Answers (simulations, backbones, seeds, images), and the truth (simulations, backbones)."""

    answers: NDArray[np.bool_]
    truth: Floats


def simulate(
    random: np.random.Generator, accuracy: Floats, points: Floats, seeds: int, images: int
) -> Simulated:
    """`accuracy` and `points` (how far seeds lie apart) are (simulations, backbones)."""
    many, backbones = accuracy.shape
    where = ndtri(accuracy)
    slope = np.exp(-(where**2) / 2) / np.sqrt(2 * np.pi)
    luck = (points / 100 / slope)[..., None] * random.standard_normal((many, backbones, seeds))
    spread_of_luck = points / 100 / slope
    level = where * np.sqrt(1 + spread_of_luck**2)

    def normal(*shape: int) -> Floats:
        return random.standard_normal(shape, dtype=np.float32)

    total = IMAGE * normal(many, 1, 1, images) + TASTE * normal(many, backbones, 1, images)
    total = total + WHIM * normal(many, backbones, seeds, images)
    answers = total + (level[..., None] + luck)[..., None] > 0
    truth = accuracy if seeds > 1 else ndtr(level + luck[..., 0])
    return Simulated(answers, truth)


def coverage(
    simulations: int, seeds: int, images: int, world: World = USUAL, seed: int = 0
) -> tuple[float, float]:
    """How often the interval of an accuracy, and that of a difference of two, hold the truth."""
    random = np.random.default_rng([seed, seeds, images, 0, world.stream])
    held, held_apart = 0, 0
    for _ in range(simulations // CHUNK):
        drawn = simulate(random, *_circumstances(random, 2, world), seeds, images)
        low, high = intervals.accuracy(drawn.answers[:, 0])
        held += _inside(low, drawn.truth[:, 0], high)
        apart = difference(drawn.answers[:, 0], drawn.answers[:, 1])
        low, high = intervals.change(apart, images, seeds)
        held_apart += _inside(low, drawn.truth[:, 0] - drawn.truth[:, 1], high)
    done = simulations // CHUNK * CHUNK
    return held / done, held_apart / done


def change_coverage(
    simulations: int, seeds: int, images: int, world: World = USUAL, seed: int = 0
) -> float:
    """The same for the change from one phase to the next of the same trained networks.

    The first phase is the answer without the seed's whim, the second with it and 1 point better.
    """
    random = np.random.default_rng([seed, seeds, images, 1, world.stream])
    held = 0
    for _ in range(simulations // CHUNK):
        accuracy, points = _circumstances(random, 1, world)
        both = np.concatenate([accuracy - 0.01, accuracy], axis=1)
        drawn = simulate(random, both, np.repeat(points / 2, 2, axis=1), seeds, images)
        change = drawn.answers[:, 1].astype(np.int8) - drawn.answers[:, 0]
        low, high = intervals.change(spread(change), images, seeds)
        held += _inside(low, drawn.truth[:, 1] - drawn.truth[:, 0], high)
    return held / (simulations // CHUNK * CHUNK)


def plain_bootstrap_coverage(
    simulations: int, seeds: int, images: int, world: World = USUAL, seed: int = 0
) -> float:
    """What drawing seeds and images with replacement, and no more, would hold."""
    random = np.random.default_rng([seed, seeds, images, 2, world.stream])
    held = 0
    for _ in range(simulations // CHUNK):
        drawn = simulate(random, *_circumstances(random, 1, world), seeds, images)
        # The same draws for a whole chunk: only their own noise is then shared.
        of_images = random.multinomial(images, np.full(images, 1 / images), DRAWS) / images
        of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS) / seeds
        by_seed = drawn.answers[:, 0].astype(np.float64) @ of_images.T
        means = np.einsum("csd,ds->cd", by_seed, of_seeds)
        low, high = np.quantile(means, (0.025, 0.975), axis=1)
        held += _inside(low, drawn.truth[:, 0], high)
    return held / (simulations // CHUNK * CHUNK)


def called_different(
    simulations: int, seeds: int, images: int, points: float | None = None, seed: int = 0
) -> float:
    """The share of families of equal backbones in which any two differ significantly.

    With `points` the seeds' standard deviation is that; otherwise it is drawn.
    """
    random = np.random.default_rng([seed, seeds, images, 3])
    found = 0
    for _ in range(simulations):
        accuracy, drawn_points = (part[:1, :1] for part in _circumstances(random, 1))
        each = drawn_points if points is None else np.full((1, 1), points)
        # One trained network's accuracy is its own: equals of one seed have no luck.
        each = each if seeds > 1 else np.zeros((1, 1))
        family = simulate(
            random, np.repeat(accuracy, FAMILY, 1), np.repeat(each, FAMILY, 1), seeds, images
        )
        found += any(c.differ for c in compare_all(family.answers[0]))
    return found / simulations


@dataclass(frozen=True)
class Loss:
    """How many points less than the best the backbone that is taken truly has, on average."""

    recommended: float
    best_observed: float
    not_significant: float  # the cheapest that does not differ significantly; of a quarter of them


def loss(simulations: int, seeds: int, images: int = UNEQUAL_IMAGES, seed: int = 0) -> Loss:
    """In the world of 12 unequal backbones, of which the worse are the cheaper."""
    random = np.random.default_rng([seed, seeds, images, 5])
    lost = np.full((simulations, 3), np.nan)
    for number in range(simulations):
        points = random.uniform(*USUAL.points, (1, 1))
        drawn = simulate(random, UNEQUAL[None], np.repeat(points, len(UNEQUAL), 1), seeds, images)
        answers, truth = drawn.answers[0], drawn.truth[0]
        apart = paired_differences(answers)
        placed = place(answers, MARGIN, apart)
        best = next(k for k, one in enumerate(placed) if one.place == "best")
        within = [k for k, one in enumerate(placed) if one.place in ("best", "within")]
        lost[number, :2] = truth.max() - truth[[max(within), best]]
        if number % 4 == 0:  # the pairwise tests take most of the time
            pairs = [c for c in compare_all(answers, apart) if best in (c.first, c.second)]
            tied = [c.first + c.second - best for c in pairs if not c.differ]
            lost[number, 2] = truth.max() - truth[max([best, *tied])]
    return Loss(*(100 * float(mean) for mean in np.nanmean(lost, axis=0)))


def taken_though_behind(
    simulations: int, seeds: int, images: int, behind: float, others: int = 1, seed: int = 0
) -> tuple[float, float]:
    """The share of runs that recommend a cheaper backbone, truly `behind` points worse, because it
    is cheaper; and the share that recommend it at all, also where it came out best.

    `others` are cheaper, and all of them so far behind. With one seed the networks are.
    """
    random = np.random.default_rng([seed, seeds, images, 6, others])
    cheaper = at_all = 0
    for _ in range(simulations):
        best, points = (part[:1, :1] for part in _circumstances(random, 1))
        accuracy = np.concatenate([best, np.repeat(best - behind / 100, others, 1)], axis=1)
        luck = np.repeat(points if seeds > 1 else np.zeros((1, 1)), 1 + others, 1)
        drawn = simulate(random, accuracy, luck, seeds, images)
        places = {one.place for one in place(drawn.answers[0], MARGIN)[1:]}
        cheaper += "within" in places
        at_all += bool(places & {"best", "within"})
    return cheaper / simulations, at_all / simulations


def called_worse(simulations: int, seeds: int, images: int, family: int, seed: int = 0) -> float:
    """The share of families of equal backbones in which any is called worse than the best."""
    random = np.random.default_rng([seed, seeds, images, 7, family])
    found = 0
    for _ in range(simulations):
        accuracy, points = (part[:1, :1] for part in _circumstances(random, 1))
        luck = points if seeds > 1 else np.zeros((1, 1))
        drawn = simulate(
            random, np.repeat(accuracy, family, 1), np.repeat(luck, family, 1), seeds, images
        )
        found += any(one.place == "worse" for one in place(drawn.answers[0], MARGIN))
    return found / simulations


def false_flips(simulations: int, seeds: int, images: int, seed: int = 0) -> tuple[float, float]:
    """The share of runs of equal backbones in which a flip between two rates is significant, and in
    which one would be without a correction.

    Each backbone answers anew at each rate, with nothing of its own in common: the hardest case.
    """
    random = np.random.default_rng([seed, seeds, images, 8])
    corrected = plain = 0
    for _ in range(simulations):
        accuracy, points = (part[:1, :1] for part in _circumstances(random, 1))
        luck = points if seeds > 1 else np.zeros((1, 1))
        networks = TUNED * RATES
        drawn = simulate(
            random, np.repeat(accuracy, networks, 1), np.repeat(luck, networks, 1), seeds, images
        )
        by_backbone = drawn.answers[0].reshape(TUNED, RATES, seeds, images)
        right = {
            str(backbone): {float(r): dict(enumerate(one)) for r, one in enumerate(answers)}
            for backbone, answers in enumerate(by_backbone)
        }
        flips = find_flips("test", right)
        corrected += any(flip.significant for flip in flips)
        plain += any(max(flip.ahead.p, flip.behind.p) <= 0.05 for flip in flips)
    return corrected / simulations, plain / simulations


def order_calibration(simulations: int, seeds: int, images: int, seed: int = 0) -> list[str]:
    """Of pairs said to be in order with so much confidence, how many truly are."""
    random = np.random.default_rng([seed, seeds, images, 4])
    said, true = [], []
    for _ in range(simulations):
        accuracy, points = (part[:1, :1] for part in _circumstances(random, 1))
        both = np.concatenate([accuracy, accuracy + random.normal(0, 0.01, (1, 1))], axis=1)
        drawn = simulate(random, np.minimum(both, 0.995), np.repeat(points, 2, 1), seeds, images)
        beats = stability(drawn.answers[0], most_draws=1000).beats[0, 1]
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


def _circumstances(
    random: np.random.Generator, backbones: int, world: World = USUAL
) -> tuple[Floats, Floats]:
    accuracy = random.uniform(*world.accuracy, (CHUNK, 1)) + np.zeros((CHUNK, backbones))
    if backbones > 1:
        accuracy[:, 1] = np.clip(accuracy[:, 0] + random.normal(0, 0.01, CHUNK), 0.8, 0.995)
    return accuracy, np.repeat(random.uniform(*world.points, (CHUNK, 1)), backbones, 1)


def _inside(low: Floats, truth: Floats, high: Floats) -> int:
    return int(((low <= truth) & (truth <= high)).sum())


def show_coverage(simulations: int) -> None:
    for world in (USUAL, HARD):
        print(f"Coverage of 95% intervals in the {world.name} world: seeds, images |")
        print("accuracy, difference, change of phase; accuracy by a plain bootstrap")
        for seeds in SEEDS:
            for images in IMAGES:
                accuracy, apart = coverage(simulations, seeds, images, world)
                phase = change_coverage(simulations, seeds, images, world)
                plain = plain_bootstrap_coverage(simulations, seeds, images, world)
                shares = f"{accuracy:6.1%} {apart:6.1%} {phase:6.1%} {plain:8.1%}"
                print(f"{seeds:3} {images:6} | {shares}", flush=True)
        print()


def show_families(simulations: int) -> None:
    print(
        f"Families of {FAMILY} equal backbones in which any two differ significantly, and in which"
    )
    print(f"any is called worse than the best; the latter of {len(UNEQUAL)} too: seeds, images |")
    for seeds in SEEDS[:4]:
        for images in (200, 1000):
            shares = [called_different(simulations, seeds, images)]
            shares += [
                called_worse(simulations, seeds, images, family)
                for family in (FAMILY, len(UNEQUAL))
            ]
            text = " ".join(f"{share:6.1%}" for share in shares)
            print(f"{seeds:3} {images:6} | {text}", flush=True)
    for seeds in SEEDS[1:4]:
        share = called_different(simulations, seeds, 1000, points=1.0)
        print(f"{seeds:3} {1000:6} | {share:6.1%}, seeds 1 point apart", flush=True)


def show_order(simulations: int) -> None:
    print("Pairs truly in the order said, by how sure P(A beats B) was")
    for seeds in (1, 3, 5):
        print(f"{seeds:3} {400:6} | {', '.join(order_calibration(simulations, seeds, 400))}")


def show_recommendation(simulations: int) -> None:
    print(f"Points lost in the world of {len(UNEQUAL)} unequal backbones: seeds, images | the")
    print("recommended, the best observed, the cheapest without a significant difference from it")
    for images in (UNEQUAL_IMAGES, 5000):
        for seeds in SEEDS[:4]:
            lost = loss(
                simulations if images == UNEQUAL_IMAGES else simulations // 4, seeds, images
            )
            figures = (lost.recommended, lost.best_observed, lost.not_significant)
            print(f"{seeds:3} {images:6} | " + " ".join(f"{x:6.2f}" for x in figures), flush=True)
    print(
        "\nRuns that recommend a backbone because it is cheaper (or at all), by how far it is truly"
    )
    print(
        "behind, with margin 1: seeds, images | 2 points, any of four 2 points, 1 point, 0 points"
    )
    for images in (1000, 5000):
        for seeds in SEEDS[:4]:
            cases = ((2.0, 1), (2.0, 4), (1.0, 1), (0.0, 1))
            shares = [taken_though_behind(simulations, seeds, images, *case) for case in cases]
            text = "  ".join(f"{cheaper:6.1%} ({at_all:.1%})" for cheaper, at_all in shares)
            print(f"{seeds:3} {images:6} | {text}", flush=True)


def show_flips(simulations: int) -> None:
    print(f"Runs of {TUNED} equal backbones at {RATES} rates with a significant flip, and with one")
    print("that would be without a correction: seeds, images |")
    for seeds in SEEDS[:3]:
        for images in (200, 1000):
            corrected, plain = false_flips(simulations // 4, seeds, images)
            print(f"{seeds:3} {images:6} | {corrected:6.1%} {plain:6.1%}", flush=True)


PARTS = {
    "coverage": show_coverage,
    "families": show_families,
    "order": show_order,
    "recommendation": show_recommendation,
    "flips": show_flips,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)} (all)")
    arguments = parser.parse_args()
    print(f"{arguments.simulations:,} simulations a figure")
    for name in arguments.parts.split(","):
        begun = time.perf_counter()
        print()
        PARTS[name](arguments.simulations)
        print(f"({time.perf_counter() - begun:.0f} s)")


if __name__ == "__main__":
    main()
