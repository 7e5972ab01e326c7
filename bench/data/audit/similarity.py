"""How well two pictures agree in their details: 1 for copies, near 0 for strangers.

Both are brought into register first. Then the slopes of their brightness are correlated, each
divided by what is usual around it: so a strong outline that many pictures share (a frame, a bar, an
object on white) counts no more than fine texture, which only copies share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.audit.alignment import Pictures, align, standardised, warp
from bench.data.audit.search import Candidates
from bench.data.audit.thumbnails import Thumbnails

CHUNK = 1024  # pairs between two reports
BATCH = 32  # pairs worked on at a time: their pictures stay in a core's cache
COARSE_STEPS, FINE_STEPS = 6, 3
MIN_COARSE = 0.6  # agreement at a quarter of the pixels below which none is to be hoped for
AROUND = 3  # pixels at each side that say what slope is usual
NOISE = 0.5  # grey levels a pixel: slopes below it are no detail

Floats = NDArray[np.float32]


def similarities(
    images: Thumbnails,
    others: Thumbnails,
    pairs: Candidates,
    progress: Callable[[int], None] = lambda done: None,
) -> Floats:
    """How well each query, from `images`, agrees with its target, from `others`."""
    found = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), CHUNK):
        chunk = slice(start, start + CHUNK)
        target = others[pairs.target[chunk]]
        turned = pairs.mirrored[chunk]
        target[turned] = target[turned, :, ::-1]
        found[chunk] = similarity(images[pairs.query[chunk]], target)
        progress(min(start + CHUNK, len(pairs)))
    return found


def similarity(first: Thumbnails, second: Thumbnails) -> Floats:
    """The agreement of each pair of thumbnails."""
    found = np.empty(len(first), np.float32)
    for start in range(0, len(first), BATCH):
        batch = slice(start, start + BATCH)
        found[batch] = _batch(first[batch].astype(np.float32), second[batch].astype(np.float32))
    return found


def _batch(first: Pictures, second: Pictures) -> Floats:
    found = np.zeros(len(first), np.float32)
    small, other = _softened(_halved(first)), _softened(_halved(second))
    start = np.zeros((len(first), 4), np.float32)
    register = align(_softened(small), _softened(other), start, COARSE_STEPS)
    moved, inside = warp(other, register)
    hopeful = _correlation(small, moved, inside) >= MIN_COARSE
    if hopeful.any():
        first, second = _softened(first[hopeful]), _softened(second[hopeful])
        register = align(first, second, register[hopeful], FINE_STEPS)
        moved, inside = warp(second, register)
        found[hopeful] = _detail(first, moved, inside)
    return found


def _correlation(first: Pictures, second: Pictures, inside: Pictures) -> Floats:
    product = standardised(first, inside) * standardised(second, inside)
    result: Floats = product.sum((1, 2)) / (inside.sum((1, 2)) + 1e-6)
    return result


def _detail(first: Pictures, second: Pictures, inside: Pictures) -> Floats:
    """Correlation of slopes, each divided by what is usual around it."""
    inside = _inner(inside)
    here, there = _slopes(first, inside), _slopes(second, inside)
    agreement = (here * there).sum((0, 2, 3))
    strength = (here * here).sum((0, 2, 3)) * (there * there).sum((0, 2, 3))
    result: Floats = agreement / (np.sqrt(strength) + 1e-6)
    return result


def _slopes(pictures: Pictures, inside: Pictures) -> NDArray[Any]:
    slopes = np.stack([np.gradient(pictures, axis=axis) for axis in (1, 2)]) * inside
    window = (2 * AROUND + 1) ** 2
    usual = _window_sums((slopes * slopes).sum(0)) + window * NOISE**2
    return np.asarray(slopes / np.sqrt(usual))


def _window_sums(values: Pictures) -> Pictures:
    """Over the window around each pixel."""
    width = 2 * AROUND + 1
    edges = ((0, 0), (AROUND + 1, AROUND), (AROUND + 1, AROUND))
    totals = np.pad(values, edges).cumsum(1).cumsum(2)
    down: Pictures = totals[:, width:] - totals[:, :-width]
    return down[:, :, width:] - down[:, :, :-width]


def _inner(inside: Pictures) -> Pictures:
    """Without the outermost pixels, whose slopes lean on what is not there."""
    inner = np.zeros_like(inside)
    inner[:, 1:-1, 1:-1] = (
        inside[:, 1:-1, 1:-1]
        * inside[:, :-2, 1:-1]
        * inside[:, 2:, 1:-1]
        * inside[:, 1:-1, :-2]
        * inside[:, 1:-1, 2:]
    )
    return inner


def _halved(pictures: Pictures) -> Pictures:
    pairs, edge, _ = pictures.shape
    halved: Pictures = pictures.reshape(pairs, edge // 2, 2, edge // 2, 2).mean((2, 4))
    return halved


def _softened(pictures: Pictures) -> Pictures:
    """Each pixel mixed with its neighbours, 1 2 1: pixels that fall between others still agree."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    result: Pictures = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 16
    return result
