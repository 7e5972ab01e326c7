"""Where to write names next to points without overlaps. Lengths are in inches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

Point = tuple[float, float]

GAP = 0.03  # kept clear around a label
DISTANCES = (0.11, 0.2, 0.32, 0.46, 0.62, 0.8, 1.0)
DIRECTIONS = 16


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def inside(self, other: Box) -> bool:
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.bottom <= self.bottom
            and self.top <= other.top
        )

    def grown(self, by: float) -> Box:
        return Box(self.left - by, self.bottom - by, self.right + by, self.top + by)

    def nearest(self, point: Point) -> Point:
        """Return the point of the rectangle that is closest to `point`."""
        x, y = point
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)


def place(
    points: Sequence[Point],
    sizes: Sequence[tuple[float, float]],
    obstacles: Sequence[Box],
    frame: Box,
) -> list[Box | None]:
    """Return a free place near each point for its label; `None` if there is none.

    Points come first come first served, so the most important should lead.
    """
    taken = list(obstacles)
    found: list[Box | None] = []
    for point, size in zip(points, sizes, strict=True):
        box = next((b for b in _candidates(point, size) if _free(b, taken, frame)), None)
        found.append(box)
        if box is not None:
            taken.append(box)
    return found


def _free(box: Box, taken: Sequence[Box], frame: Box) -> bool:
    roomy = box.grown(GAP)
    return roomy.inside(frame) and not any(roomy.overlaps(other) for other in taken)


def _candidates(point: Point, size: tuple[float, float]) -> list[Box]:
    """Yield boxes around the point: near ones first, the right-hand side before the left."""
    (x, y), (width, height) = point, size
    boxes = []
    for distance in DISTANCES:
        for step in range(DIRECTIONS):
            # 0, 1, -1, 2, -2, ... sixteenths of a turn away from due right.
            turn = (step + 1) // 2 * (1 if step % 2 else -1) * 2 * pi / DIRECTIONS
            across, up = cos(turn), sin(turn)
            left = x + distance * across - width * (1 - across) / 2
            bottom = y + distance * up - height * (1 - up) / 2
            boxes.append(Box(left, bottom, left + width, bottom + height))
    return boxes
