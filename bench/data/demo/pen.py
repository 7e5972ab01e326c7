"""A pen for cartoons: draws filled and outlined smooth shapes in a scaled, rotated frame.

Points are complex numbers, x + iy with y pointing down, so that a frame's transformation is a
multiplication and an addition.
"""

from __future__ import annotations

import cmath
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

Colour = tuple[int, int, int]
Curve = NDArray[np.complex128]

STEPS = 6  # points of a curve from one corner to the next
CIRCLE: Curve = np.exp(2j * np.pi * np.arange(28) / 28)


@dataclass(frozen=True)
class Pen:
    """Draws in a frame of `scale` pixels per unit, rotated by `turn` radians about `origin`."""

    draw: ImageDraw.ImageDraw
    origin: complex
    scale: float
    turn: float = 0.0
    mirrored: bool = False
    outline: float = 0.0  # pixels; 0 for none

    def at(self, point: complex, scale: float = 1.0, turn: float = 0.0) -> Pen:
        """Return a pen whose frame is at `point` of this one, scaled and rotated."""
        origin = complex(self._pixels(np.array([point]))[0])
        turned = self.turn + (-turn if self.mirrored else turn)
        return replace(self, origin=origin, scale=self.scale * scale, turn=turned)

    def blob(self, centre: complex, rx: float, ry: float, fill: Colour) -> None:
        """Draw an ellipse."""
        self.shape(centre + CIRCLE.real * rx + 1j * CIRCLE.imag * ry, fill)

    def leaf(self, corners: Sequence[complex], fill: Colour) -> None:
        """Draw a smooth closed shape through `corners`."""
        self.shape(smooth(np.array(corners), closed=True), fill)

    def shape(self, points: Curve, fill: Colour) -> None:
        """Draw a filled polygon with the pen's outline."""
        flat = _flatten(self._pixels(points))
        self.draw.polygon(flat, fill=fill)
        if self.outline:
            self.draw.line(flat + flat[:4], fill=darken(fill, 0.45), width=round(self.outline))

    def stroke(self, corners: Sequence[complex], width: float, fill: Colour) -> None:
        """Draw a smooth line with round ends; `width` is in units of the frame."""
        points = self._pixels(smooth(np.array(corners), closed=False))
        if self.outline and width * self.scale > 3 * self.outline:
            self._tube(points, width * self.scale + 2 * self.outline, darken(fill, 0.45))
        self._tube(points, max(1.0, width * self.scale), fill)

    def _tube(self, points: Curve, width: float, fill: Colour) -> None:
        self.draw.line(_flatten(points), fill=fill, width=round(width))
        if width > 4:  # below that, joints do not show
            radius = width / 2
            for x, y in zip(points.real.tolist(), points.imag.tolist(), strict=True):
                self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def _pixels(self, points: Curve) -> Curve:
        if self.mirrored:
            points = -points.conjugate()
        return self.origin + points * (self.scale * cmath.exp(1j * self.turn))


def smooth(corners: Curve, *, closed: bool) -> Curve:
    """Return a Catmull-Rom curve through `corners`."""
    if closed:
        before, after, beyond = (np.roll(corners, shift) for shift in (1, -1, -2))
        here = corners
    else:
        padded = np.concatenate((corners[:1], corners, corners[-1:]))
        before, here, after, beyond = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.arange(STEPS)[None, :] / STEPS
    p0, p1, p2, p3 = (p[:, None] for p in (before, here, after, beyond))
    curve = (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    ) / 2
    flat: Curve = curve.ravel()
    return flat if closed else np.concatenate((flat, corners[-1:]))


def darken(colour: Colour, factor: float) -> Colour:
    return mix(colour, (0, 0, 0), 1 - factor)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return the first colour with a fraction `share` of the second mixed in."""
    r, g, b = (round(x + (y - x) * share) for x, y in zip(one, other, strict=True))
    return r, g, b


def _flatten(points: Curve) -> list[float]:
    return np.column_stack((points.real, points.imag)).ravel().tolist()
