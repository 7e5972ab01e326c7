"""Calibrate the report's intervals and tests by simulation, where true accuracies are known.

    python benchmarks/statistics_calibration.py [--simulations 2000] [--parts coverage,...]

Whether a prediction is correct is the sign of a sum of normal draws: the difficulty of the image,
its interaction with the backbone and with the seed, and the effect of the seed on all images. So a
backbone's true accuracy is known. For each simulation, accuracies are drawn from 85 to 99%, and the
standard deviation of the seeds' true accuracies from 0 to 0.8 points. In the hard world it is 97 to
99% and 0.7 to 1.2 points: few mistakes, and a larger effect of seeds. With one seed the truth is
that of the trained network; with several it is the backbone's, over all seeds.

Coverage of the 95% intervals should be from 93 to 97%, and equal backbones should differ
significantly in at most 5% of the families. The recommendation should lose at most 0.3 points on
average in the world of 12 unequal backbones, and take a cheaper backbone that is truly 2 points
worse in at most 5% of the runs with 1,000 images. Ten equal backbones at six learning rates should
give a significant flip in at most 5% of the runs.
"""

from __future__ import annotations

import argparse
import time

from calibration.inference import (
    FAMILY,
    RATES,
    TUNED,
    called_different,
    change_coverage,
    coverage,
    false_flips,
    order_calibration,
    plain_bootstrap_coverage,
)
from calibration.recommendation import (
    UNEQUAL,
    UNEQUAL_IMAGES,
    called_worse,
    loss,
    taken_though_behind,
)
from calibration.worlds import HARD, USUAL

IMAGES = (200, 400, 1000)
SEEDS = (1, 2, 3, 5, 10)


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
    for seeds in SEEDS[:4]:
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
