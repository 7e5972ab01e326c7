"""Bringing two small pictures into register: a crop lies over its original, pixel on pixel.

A crop of a picture is that picture, stretched and moved along both axes. The four numbers are found
by least squares on the pixels (Lucas and Kanade; in the inverse form of Baker and Matthews, which
solves for the fixed picture once), for many pairs at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_WARP = 0.2  # the most that a picture is stretched or moved, in half edges
STIFFNESS = 0.02  # holds what the pixels say nothing about, as along a plain stripe

Pictures = NDArray[np.float32]  # (pairs, edge, edge)
Register = NDArray[np.float32]  # (pairs, 4): stretch and shift along x, then along y


def align(fixed: Pictures, moving: Pictures, start: Register, steps: int) -> Register:
    """How to stretch and move `moving` so that it lies over `fixed`, improved from `start`."""
    pairs, edge, _ = fixed.shape
    everywhere = np.ones_like(fixed)
    fixed = standardised(fixed, everywhere)
    along = _coordinates(edge)
    down, right = np.gradient(fixed, 2 / edge, axis=(1, 2))
    slopes = np.stack([right * along, right, down * along[:, None], down], axis=1)
    slopes = slopes.reshape(pairs, 4, -1)
    normal = slopes @ slopes.transpose(0, 2, 1)
    normal += STIFFNESS * edge**2 * np.eye(4, dtype=np.float32)
    solve = np.linalg.inv(normal) @ slopes

    register = start.copy()
    for _ in range(steps):
        moved, inside = warp(moving, register)
        error = standardised(moved, inside) - standardised(fixed, inside)
        step = (solve @ error.reshape(pairs, -1, 1))[:, :, 0]
        for stretch, shift in ((0, 1), (2, 3)):
            # What was found is how to move the fixed picture: its inverse goes into the register.
            factor = (1 + register[:, stretch]) / (1 + step[:, stretch])
            register[:, shift] -= factor * step[:, shift]
            register[:, stretch] = factor - 1
        np.clip(register, -MAX_WARP, MAX_WARP, out=register)
    return register


def warp(pictures: Pictures, register: Register) -> tuple[Pictures, Pictures]:
    """The pictures as the register puts them, and where they have pixels (1) or end (0).

    Both axes go apart, so bilinear sampling is two small matrix products.
    """
    edge = pictures.shape[-1]
    across, inside_x = _sampling(register[:, 0], register[:, 1], edge)
    down, inside_y = _sampling(register[:, 2], register[:, 3], edge)
    inside = inside_y[:, :, None] & inside_x[:, None, :]
    moved = np.asarray(down @ pictures @ across.transpose(0, 2, 1), np.float32)
    return moved, inside.astype(np.float32)


def standardised(pictures: Pictures, inside: Pictures) -> Pictures:
    """Mean 0 and deviation 1 over `inside`, and 0 outside: brightness and contrast are gone."""
    pixels = inside.sum((1, 2), keepdims=True) + 1e-6
    pictures = (pictures - (pictures * inside).sum((1, 2), keepdims=True) / pixels) * inside
    variance = (pictures * pictures).sum((1, 2), keepdims=True) / pixels
    result: Pictures = pictures / np.sqrt(variance + 1e-6)
    return result


def _coordinates(edge: int) -> NDArray[np.float32]:
    """Of the pixels along one axis, in half edges from the middle."""
    return (np.arange(edge, dtype=np.float32) - (edge - 1) / 2) / (edge / 2)


def _sampling(
    stretch: NDArray[np.float32], shift: NDArray[np.float32], edge: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """For each pixel the weights of those it is made of, and whether it lies in the picture."""
    middle = (edge - 1) / 2
    place = (1 + stretch[:, None]) * _coordinates(edge) + shift[:, None]
    place = place * np.float32(edge / 2) + np.float32(middle)
    pixels = np.arange(edge, dtype=np.float32)
    weights: NDArray[np.float32] = np.maximum(0, 1 - np.abs(place[:, :, None] - pixels))
    return weights, (place >= 0) & (place <= edge - 1)
