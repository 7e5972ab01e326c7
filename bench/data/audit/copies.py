"""Near copies among thumbnails: hashes find who may be one, pixels say who is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.audit.hashing import Hashes, Thumbnails, hashes
from bench.data.audit.search import Candidates, candidates, once, within
from bench.data.audit.similarity import similarities

MIN_SIMILARITY = 0.75  # altered copies of 1,200 photographs: 0.86 and more; strangers: 0.67 at most
SURE = 0.9  # what agrees so well upside down may be a copy made by augmentation
ACCUSED_BY_CHANCE = 0.002  # of the images, at most
MARGIN = 0.01
SAMPLE = 2000  # images sought among those upside down
FEW = 4  # copies of one image that augmentation makes


@dataclass(frozen=True)
class Chance:
    """What was found among the images upside down."""

    bar: float  # the similarity from which on a pair is no chance
    upside_down: int  # images, of those looked at, with what must be a copy upside down


def chance(
    images: Thumbnails,
    hashed: Hashes,
    seen: Candidates,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Chance:
    """The similarity that (nearly) no two strangers of this set reach.

    `seen` are the candidates among the upright images. A pair that is one upside down, too, shows
    something that looks the same either way, and would be no witness.
    """
    turned = images[:, ::-1]
    sample = np.unique(np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).astype(np.intp))
    pairs = candidates(sample, hashed, hashes(turned), hashes(turned[:, :, ::-1]))
    known = np.concatenate([_numbered(seen.query, seen.target), _numbered(seen.target, seen.query)])
    pairs = pairs.where(~np.isin(_numbered(pairs.query, pairs.target), known))
    similar = similarities(images, turned, pairs, lambda done: progress(done, len(pairs)))
    best = np.zeros(len(images), np.float32)
    np.maximum.at(best, pairs.query, similar)
    twins = np.bincount(pairs.query[similar >= SURE], minlength=len(images))
    middling = (similar >= MIN_SIMILARITY) & (similar < SURE)
    twins[pairs.query[middling]] = 0
    return chance_of(best[sample], twins[sample])


def chance_of(best: NDArray[np.float32], twins: NDArray[np.intp]) -> Chance:
    """The bar, from how well each image's most similar one upside down agrees with it.

    `twins` says how many pass for copies, of images where nothing comes near to passing.
    """
    # Someone may have turned images upside down to have more of them, and those say nothing of
    # strangers. Unlike what is alike by chance, they are few for an image, and stand apart.
    copies = (twins > 0) & (twins <= FEW)
    upside_down = int(copies.sum())
    if upside_down > np.count_nonzero((best >= MIN_SIMILARITY) & ~copies):
        best = best[~copies]
    else:
        upside_down = 0
    if not len(best):
        return Chance(MIN_SIMILARITY, upside_down)
    by_chance = float(np.quantile(best, 1 - ACCUSED_BY_CHANCE, method="higher"))
    return Chance(max(MIN_SIMILARITY, by_chance + MARGIN), upside_down)


def _numbered(query: NDArray[np.intp], target: NDArray[np.intp]) -> NDArray[np.int64]:
    return query.astype(np.int64) << 32 | target.astype(np.int64)


Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Copies:
    """The pairs that are near copies, and how they were told from the others."""

    pairs: Candidates
    similarity: NDArray[np.float32]
    bar: float
    compared: int  # candidates whose pixels were compared
    crowded: int  # images that had more candidates than were compared
    upside_down: int  # images with a copy upside down, of a sample


def near_copies(images: Thumbnails, progress: Progress) -> Copies:
    """All pairs of images of which one may be made from the other."""
    total = len(images)
    upright = hashes(images, lambda done: progress("hashing", done, 2 * total))
    mirrored = hashes(images[:, :, ::-1], lambda done: progress("hashing", total + done, 2 * total))
    found = within(upright, mirrored, lambda done: progress("searching", done, total))
    pairs = once(found)
    similar = similarities(
        images, images, pairs, lambda done: progress("comparing", done, len(pairs))
    )
    luck = chance(images, upright, pairs, lambda done, of: progress("measuring chance", done, of))
    chosen = similar >= luck.bar
    return Copies(
        pairs=pairs.where(chosen),
        similarity=similar[chosen],
        bar=luck.bar,
        compared=len(pairs),
        crowded=found.crowded,
        upside_down=luck.upside_down,
    )
