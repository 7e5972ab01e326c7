"""Where to write names next to points without overlaps. Lengths are in inches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GAP = 0.03  # kept clear around a label
DISTANCES = np.array([0.11, 0.2, 0.32, 0.46, 0.62, 0.8, 1.0])
DIRECTIONS = 16


class Box(NamedTuple):
    """A rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    def grown(self, by: float) -> Box:
        return Box(self.left - by, self.bottom - by, self.right + by, self.top + by)


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    obstacles: Sequence[Box],
    frame: Box,
) -> list[Box | None]:
    """Return a free place near each point for its label; `None` if there is none.

    Points come first come first served, so the most important should lead.
    """
    taken = np.array(obstacles).reshape(-1, 4)
    found: list[Box | None] = []
    for point, size in zip(points, sizes, strict=True):
        boxes = _candidates(np.array(point), np.array(size))
        low, high = boxes[:, :2] - GAP, boxes[:, 2:] + GAP
        inside = np.all((low >= frame[:2]) & (high <= frame[2:]), axis=1)
        crossing = np.all((low[:, None] < taken[:, 2:]) & (taken[:, :2] < high[:, None]), axis=2)
        free = np.flatnonzero(inside & ~np.any(crossing, axis=1))
        found.append(Box(*boxes[free[0]].tolist()) if len(free) else None)
        taken = np.concatenate([taken, boxes[free[:1]]])
    return found


def _candidates(point: Floats, size: Floats) -> Floats:
    """Return boxes around the point: near ones first, the right-hand side before the left."""
    step = np.arange(DIRECTIONS)
    # 0, 1, -1, 2, -2, ... sixteenths of a turn away from due right.
    turn = (step + 1) // 2 * np.where(step % 2, 1, -1) * 2 * np.pi / DIRECTIONS
    way = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    corner = point + DISTANCES[:, None, None] * way - size * (1 - way) / 2
    return np.concatenate([corner, corner + size], axis=2).reshape(-1, 4)
