"""Search for near copies among thumbnails: hashes find the candidates, pixels decide.

The similarity of two pictures is 1 for copies and near 0 for unrelated pictures. They are aligned
first: a crop is the original, stretched and shifted along both axes. These four numbers are fitted
by least squares on the pixels (Lucas-Kanade, in the inverse form of Baker and Matthews, which
inverts the normal equations of the fixed picture once), for many pairs at a time. Then their
brightness gradients are correlated, each divided by the typical gradient around it: so a strong
outline that many pictures share (a frame, a bar, an object on white) counts no more than fine
texture, which only copies share.

The similarity threshold is measured for each data set. Photographs of different things are not
similar, and 0.75 is far above any two unrelated ones. Images of one kind (digits, objects on white)
are much more similar. So the search is repeated among the images turned upside down, where there
are no copies: all pairs found there are chance matches, and the threshold is set above them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.audit.hashing import Hashes, Thumbnails, hash_images
from bench.data.audit.search import (
    Candidates,
    deduplicate_pairs,
    find_candidates,
    nearest_candidates,
)

MAX_WARP = 0.2  # the largest stretch or shift of a picture, in half edges
STIFFNESS = 0.02  # regularises directions that the pixels do not determine, such as along a stripe
BATCH = 32  # pairs processed at a time: their pictures stay in a core's cache
COARSE_STEPS, FINE_STEPS = 6, 3
MIN_COARSE = 0.6  # pairs with a lower correlation at half resolution are dropped
CONTRAST_RADIUS = 3  # pixels on each side that define the typical gradient
NOISE = 0.5  # grey levels per pixel: smaller gradients are noise

Pictures = NDArray[np.float32]  # (pairs, edge, edge)
Register = NDArray[np.float32]  # (pairs, 4): stretch and shift along x, then along y
Floats = NDArray[np.float32]
StageProgress = Callable[[str, int, int], None]  # stage, done, total


def align(fixed: Pictures, moving: Pictures, start: Register, steps: int) -> Register:
    """Return the stretches and shifts that align `moving` with `fixed`, improved from `start`."""
    pairs, edge, _ = fixed.shape
    everywhere = np.ones_like(fixed)
    fixed = standardise(fixed, everywhere)
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
        error = standardise(moved, inside) - standardise(fixed, inside)
        step = (solve @ error.reshape(pairs, -1, 1))[:, :, 0]
        for stretch, shift in ((0, 1), (2, 3)):
            # The step moves the fixed picture: its inverse goes into the register.
            factor = (1 + register[:, stretch]) / (1 + step[:, stretch])
            register[:, shift] -= factor * step[:, shift]
            register[:, stretch] = factor - 1
        np.clip(register, -MAX_WARP, MAX_WARP, out=register)
    return register


def warp(pictures: Pictures, register: Register) -> tuple[Pictures, Pictures]:
    """Return the transformed pictures, and masks of their pixels: 1 inside the picture, 0 outside.

    The axes are independent, so bilinear sampling is two small matrix products.
    """
    edge = pictures.shape[-1]
    across, inside_x = _sampling_weights(register[:, 0], register[:, 1], edge)
    down, inside_y = _sampling_weights(register[:, 2], register[:, 3], edge)
    inside = inside_y[:, :, None] & inside_x[:, None, :]
    moved = np.asarray(down @ pictures @ across.transpose(0, 2, 1), np.float32)
    return moved, inside.astype(np.float32)


def standardise(pictures: Pictures, inside: Pictures) -> Pictures:
    """Scale to mean 0 and standard deviation 1 inside the mask, to ignore brightness, contrast."""
    pixels = inside.sum((1, 2), keepdims=True) + 1e-6
    pictures = (pictures - (pictures * inside).sum((1, 2), keepdims=True) / pixels) * inside
    variance = (pictures * pictures).sum((1, 2), keepdims=True) / pixels
    result: Pictures = pictures / np.sqrt(variance + 1e-6)
    return result


def _coordinates(edge: int) -> NDArray[np.float32]:
    """Return the pixel positions along one axis, in half edges from the middle."""
    return (np.arange(edge, dtype=np.float32) - (edge - 1) / 2) / (edge / 2)


def _sampling_weights(
    stretch: NDArray[np.float32], shift: NDArray[np.float32], edge: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return each pixel's interpolation weights, and whether its source is inside the picture."""
    middle = (edge - 1) / 2
    position = (1 + stretch[:, None]) * _coordinates(edge) + shift[:, None]
    position = position * np.float32(edge / 2) + np.float32(middle)
    pixels = np.arange(edge, dtype=np.float32)
    weights: NDArray[np.float32] = np.maximum(0, 1 - np.abs(position[:, :, None] - pixels))
    return weights, (position >= 0) & (position <= edge - 1)


def similarities(
    images: Thumbnails, others: Thumbnails, pairs: Candidates, progress: Callable[[int], None]
) -> Floats:
    """Return the similarity of each pair: a query in `images` and a target in `others`."""
    found = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), BATCH):
        batch = slice(start, start + BATCH)
        target = others[pairs.target[batch]]
        mirrored = pairs.mirrored[batch]
        target[mirrored] = target[mirrored, :, ::-1]
        found[batch] = similarity(images[pairs.query[batch]], target)
        progress(min(start + BATCH, len(pairs)))
    return found


def similarity(thumbnails: Thumbnails, others: Thumbnails) -> Floats:
    """Return the similarity of each pair of thumbnails, `thumbnails[i]` and `others[i]`."""
    first, second = thumbnails.astype(np.float32), others.astype(np.float32)
    found = np.zeros(len(first), np.float32)
    small, other = _blur(_halve(first)), _blur(_halve(second))
    start = np.zeros((len(first), 4), np.float32)
    register = align(_blur(small), _blur(other), start, COARSE_STEPS)
    moved, inside = warp(other, register)
    kept = _correlation(small, moved, inside) >= MIN_COARSE
    if kept.any():
        first, second = _blur(first[kept]), _blur(second[kept])
        register = align(first, second, register[kept], FINE_STEPS)
        moved, inside = warp(second, register)
        found[kept] = _detail_similarity(first, moved, inside)
    return found


def _correlation(first: Pictures, second: Pictures, inside: Pictures) -> Floats:
    product = standardise(first, inside) * standardise(second, inside)
    result: Floats = product.sum((1, 2)) / (inside.sum((1, 2)) + 1e-6)
    return result


def _detail_similarity(first: Pictures, second: Pictures, inside: Pictures) -> Floats:
    """Return the correlation of the gradients, each divided by the typical one around it."""
    inside = _erode(inside)
    here, there = _slopes(first, inside), _slopes(second, inside)
    agreement = (here * there).sum((0, 2, 3))
    strength = (here * here).sum((0, 2, 3)) * (there * there).sum((0, 2, 3))
    result: Floats = agreement / (np.sqrt(strength) + 1e-6)
    return result


def _slopes(pictures: Pictures, inside: Pictures) -> NDArray[Any]:
    slopes = np.stack([np.gradient(pictures, axis=axis) for axis in (1, 2)]) * inside
    window = (2 * CONTRAST_RADIUS + 1) ** 2
    usual = _window_sums((slopes * slopes).sum(0)) + window * NOISE**2
    return np.asarray(slopes / np.sqrt(usual))


def _window_sums(values: Pictures) -> Pictures:
    """Return the sum over the window around each pixel."""
    width = 2 * CONTRAST_RADIUS + 1
    edges = ((0, 0), (CONTRAST_RADIUS + 1, CONTRAST_RADIUS), (CONTRAST_RADIUS + 1, CONTRAST_RADIUS))
    totals = np.pad(values, edges).cumsum(1).cumsum(2)
    down: Pictures = totals[:, width:] - totals[:, :-width]
    return down[:, :, width:] - down[:, :, :-width]


def _erode(inside: Pictures) -> Pictures:
    """Remove the outermost pixels from the mask: their gradients need missing neighbours."""
    inner = np.zeros_like(inside)
    rows = inside[:, :-2, 1:-1] * inside[:, 1:-1, 1:-1] * inside[:, 2:, 1:-1]
    inner[:, 1:-1, 1:-1] = rows * inside[:, 1:-1, :-2] * inside[:, 1:-1, 2:]
    return inner


def _halve(pictures: Pictures) -> Pictures:
    pairs, edge, _ = pictures.shape
    halved: Pictures = pictures.reshape(pairs, edge // 2, 2, edge // 2, 2).mean((2, 4))
    return halved


def _blur(pictures: Pictures) -> Pictures:
    """Blur with the kernel 1 2 1 in both directions, to tolerate shifts of part of a pixel."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    result: Pictures = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 16
    return result


MIN_SIMILARITY = 0.75  # altered copies of 1,200 photographs: at least 0.86; others: at most 0.67
SURE = 0.9  # upside-down pairs of this similarity may be copies made by augmentation
MAX_FALSE_POSITIVES = 0.002  # fraction of the images
MARGIN = 0.01
SAMPLE = 2000  # images that are compared with the upside-down ones
MAX_TWINS = 4  # upside-down copies of one image that augmentation may have made


@dataclass(frozen=True)
class Chance:
    """The result of the search among the images turned upside down."""

    threshold: float  # the similarity from which a pair counts as near copies
    upside_down: int  # images of the sample that have an upside-down copy


def measure_chance(
    images: Thumbnails,
    hashed: Hashes,
    seen: Candidates,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Chance:
    """Measure the similarity that (nearly) no two unrelated images of this data set reach.

    `seen` are the candidates among the upright images. A pair of them that is also found upside
    down looks the same both ways: it is not evidence of chance and is ignored.
    """
    turned = images[:, ::-1]
    sample = np.unique(np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).astype(np.intp))
    pairs = nearest_candidates(sample, hashed, hash_images(turned), hash_images(turned[:, :, ::-1]))
    known = np.concatenate([_pair_ids(seen.query, seen.target), _pair_ids(seen.target, seen.query)])
    pairs = pairs.select(~np.isin(_pair_ids(pairs.query, pairs.target), known))
    similar = similarities(images, turned, pairs, lambda done: progress(done, len(pairs)))
    best = np.zeros(len(images), np.float32)
    np.maximum.at(best, pairs.query, similar)
    twins = np.bincount(pairs.query[similar >= SURE], minlength=len(images))
    middling = (similar >= MIN_SIMILARITY) & (similar < SURE)
    twins[pairs.query[middling]] = 0
    return chance_threshold(best[sample], twins[sample])


def chance_threshold(best: NDArray[np.float32], twins: NDArray[np.intp]) -> Chance:
    """Compute the threshold from each image's best similarity to an upside-down one.

    `twins` counts, for each image without borderline matches, its matches of similarity `SURE`.
    """
    # Augmentation may have added upside-down copies, which are not evidence of chance. Unlike
    # chance matches they are few for each image and far more similar.
    copies = (twins > 0) & (twins <= MAX_TWINS)
    upside_down = int(copies.sum())
    if upside_down > np.count_nonzero((best >= MIN_SIMILARITY) & ~copies):
        best = best[~copies]
    else:
        upside_down = 0
    if not len(best):
        return Chance(MIN_SIMILARITY, upside_down)
    by_chance = float(np.quantile(best, 1 - MAX_FALSE_POSITIVES, method="higher"))
    return Chance(max(MIN_SIMILARITY, by_chance + MARGIN), upside_down)


def _pair_ids(query: NDArray[np.intp], target: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return one number for each pair."""
    return query.astype(np.int64) << 32 | target.astype(np.int64)


@dataclass(frozen=True)
class Copies:
    """The pairs that are near copies, and facts about the search."""

    pairs: Candidates
    similarity: NDArray[np.float32]
    threshold: float
    compared: int  # pairs whose pixels were compared
    crowded: int  # images with more candidates than were compared
    upside_down: int  # images of a sample that have an upside-down copy


def find_near_copies(images: Thumbnails, progress: StageProgress) -> Copies:
    """Find all pairs of images in which one may be an altered copy of the other."""
    total = len(images)
    upright = hash_images(images, lambda done: progress("hashing", done, 2 * total))
    mirrored = hash_images(
        images[:, :, ::-1], lambda done: progress("hashing", total + done, 2 * total)
    )
    found = find_candidates(upright, mirrored, lambda done: progress("searching", done, total))
    pairs = deduplicate_pairs(found)
    similar = similarities(
        images, images, pairs, lambda done: progress("comparing", done, len(pairs))
    )
    chance = measure_chance(
        images, upright, pairs, lambda done, of: progress("measuring chance", done, of)
    )
    chosen = similar >= chance.threshold
    return Copies(
        pairs=pairs.select(chosen),
        similarity=similar[chosen],
        threshold=chance.threshold,
        compared=len(pairs),
        crowded=found.crowded,
        upside_down=chance.upside_down,
    )
