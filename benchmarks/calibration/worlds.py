"""Simulated predictions of backbones whose true accuracy is known.

Whether a prediction is correct is the sign of a sum of normal draws: the difficulty of the image,
its interaction with the backbone and with the seed, and the effect of the seed on all images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

IMAGE, TASTE, WHIM = 0.77, 0.5, 0.4  # standard deviations; their squares sum to one
CHUNK = 100  # simulations in memory at a time

Floats = NDArray[Any]


@dataclass(frozen=True)
class World:
    """Ranges to draw accuracies and standard deviations of seeds from."""

    name: str
    stream: int  # of random numbers: worlds must not share their luck
    accuracy: tuple[float, float]
    points: tuple[float, float]  # standard deviation of the seeds' true accuracies


USUAL = World("usual", 0, (0.85, 0.99), (0.0, 0.8))
HARD = World("hard", 1, (0.97, 0.99), (0.7, 1.2))


@dataclass(frozen=True)
class Simulated:
    """Correct predictions (simulations, backbones, seeds, images), and the true accuracies
    (simulations, backbones)."""

    correct: NDArray[np.bool_]
    truth: Floats


def simulate(
    random: np.random.Generator, accuracy: Floats, points: Floats, seeds: int, images: int
) -> Simulated:
    """Draw predictions; `accuracy` and `points` (standard deviation of the seeds) are of shape
    (simulations, backbones)."""
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
    correct = total + (level[..., None] + luck)[..., None] > 0
    truth = accuracy if seeds > 1 else ndtr(level + luck[..., 0])
    return Simulated(correct, truth)


def circumstances(
    random: np.random.Generator, backbones: int, world: World = USUAL
) -> tuple[Floats, Floats]:
    """Draw accuracies and standard deviations of seeds, in points, by simulation and backbone."""
    accuracy = random.uniform(*world.accuracy, (CHUNK, 1)) + np.zeros((CHUNK, backbones))
    if backbones > 1:
        accuracy[:, 1] = np.clip(accuracy[:, 0] + random.normal(0, 0.01, CHUNK), 0.8, 0.995)
    return accuracy, np.repeat(random.uniform(*world.points, (CHUNK, 1)), backbones, 1)
