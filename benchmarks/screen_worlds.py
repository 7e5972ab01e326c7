"""Simulate how often `screen` drops the best of many backbones, whose true accuracies are known.

    python benchmarks/screen_worlds.py [--zoos 2000] [--backbones 40]

Each zoo has a mean accuracy from 70 to 93% and a standard deviation of the true accuracies from 2
to 6 points. The accuracy in a round is biased: by 2 points (standard deviation) for the probes, on
500, 1,000 or 2,000 training images; by 1 point for the head, on 300 validation images. Both rounds
drop backbones by the rule of `bench/analysis/screening.py`. Predictions are drawn as in
`calibration/worlds.py`: an image is hard for all backbones, so their mistakes are correlated.

All backbones truly within a point of the best should be dropped in at most 5% of the zoos. The
estimated chance that the best was dropped, as the report shows it, should be about the fraction of
zoos in which it was.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

import numpy as np
from calibration.worlds import simulate

from bench.analysis.screening import BIAS, RoundEvidence

PROBE_IMAGES = (500, 1000, 2000)
HEAD_IMAGES = 300
BIASES = (0.01, 0.02, 0.03)  # of the probes; the rule's own estimate is the second
WITHIN = 0.01


@dataclass
class Outcome:
    """The outcomes of screening many zoos."""

    dropped: list[bool] = field(default_factory=list)  # whether the best was
    lost: list[bool] = field(default_factory=list)  # whether none within a point of it is left
    points: list[float] = field(default_factory=list)  # by how much the best left is behind it
    chance: list[float] = field(default_factory=list)  # as estimated
    after_probes: list[int] = field(default_factory=list)
    finalists: list[int] = field(default_factory=list)


def screen(zoos: int, backbones: int, images: int, bias: float, seed: int = 0) -> Outcome:
    """Simulate both rounds for many zoos."""
    random = np.random.default_rng([seed, backbones, images, round(1000 * bias)])
    outcome = Outcome()
    for _ in range(zoos):
        middle, spread = random.uniform(0.70, 0.93), random.uniform(0.02, 0.06)
        truth = np.clip(random.normal(middle, spread, backbones), 0.2, 0.995)
        left, chance = np.arange(backbones), 0.0
        for count, scale, assumed in (
            (images, bias, BIAS["probes"]),
            (HEAD_IMAGES, BIAS["head"], BIAS["head"]),
        ):
            shown = np.clip(random.normal(truth[left], scale), 0.05, 0.998)
            none = np.zeros((1, len(left)))
            correct = simulate(random, shown[None], none, 1, count).correct[0, :, 0]
            evidence = RoundEvidence.from_correct(correct)
            stay = evidence.is_kept()
            chance += (1 - chance) * evidence.p_best_dropped(~stay, assumed)
            left = left[stay]
            outcome.after_probes.append(len(left))
        outcome.finalists.append(outcome.after_probes.pop())
        behind = truth.max() - truth[left].max()
        outcome.dropped.append(bool(behind > 0))
        outcome.lost.append(bool(behind > WITHIN))
        outcome.points.append(100 * float(behind))
        outcome.chance.append(chance)
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zoos", type=int, default=2000)
    parser.add_argument("--backbones", type=int, default=40)
    arguments = parser.parse_args()
    print(
        "probe bias, images | best dropped, as estimated, none within a point left, points lost |"
        " left after the probes, after the head"
    )
    for bias in BIASES:
        for images in PROBE_IMAGES:
            found = screen(arguments.zoos, arguments.backbones, images, bias)
            print(
                f"{100 * bias:3.0f} points {images:6,} | {np.mean(found.dropped):6.1%} "
                f"{np.mean(found.chance):6.1%} {np.mean(found.lost):6.1%} "
                f"{np.mean(found.points):6.2f} | {np.mean(found.after_probes):5.1f} "
                f"{np.mean(found.finalists):5.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
