"""Near copies among thumbnails: hashes find the candidates, pixels decide.

The similarity threshold is measured for each data set. Photographs of different things agree in few
details, and 0.75 is far above any two unrelated ones. Images of one kind (digits, objects on white)
agree far better. So the same search is made among the images turned upside down, where there are no
copies: what it finds there is chance, and the threshold is put above it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.audit.hashing import Hashes, Thumbnails, hashes
from bench.data.audit.search import Candidates, candidates, once, within
from bench.data.audit.similarity import similarities

MIN_SIMILARITY = 0.75  # altered copies of 1,200 photographs: at least 0.86; others: at most 0.67
SURE = 0.9  # pairs this similar upside down may be copies made by augmentation
MAX_FALSE_POSITIVES = 0.002  # of the images
MARGIN = 0.01
SAMPLE = 2000  # images searched for among those upside down
MAX_TWINS = 4  # copies of one image that augmentation makes


@dataclass(frozen=True)
class Chance:
    """What was found among the images turned upside down."""

    threshold: float  # the similarity from which a pair counts as copies
    upside_down: int  # images of the sample that have an upside-down copy


def chance(
    images: Thumbnails,
    hashed: Hashes,
    seen: Candidates,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Chance:
    """Measure the similarity that (nearly) no two unrelated images of this set reach.

    `seen` are the candidates among the upright images. A pair that is also found upside down shows
    something that looks the same both ways, so it is no evidence and is left out.
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
    """Compute the threshold from each image's best similarity to an upside-down one.

    `twins` counts the sure matches of each image that has no borderline ones.
    """
    # Augmentation may have added upside-down copies, which are no evidence of chance. Unlike
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


def _numbered(query: NDArray[np.intp], target: NDArray[np.intp]) -> NDArray[np.int64]:
    return query.astype(np.int64) << 32 | target.astype(np.int64)


Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Copies:
    """The pairs that are near copies, and the threshold that they passed."""

    pairs: Candidates
    similarity: NDArray[np.float32]
    threshold: float
    compared: int  # candidates whose pixels were compared
    crowded: int  # images that had more candidates than were compared
    upside_down: int  # images with a copy upside down, of a sample


def near_copies(images: Thumbnails, progress: Progress) -> Copies:
    """Find all pairs of images of which one may be made from the other."""
    total = len(images)
    upright = hashes(images, lambda done: progress("hashing", done, 2 * total))
    mirrored = hashes(images[:, :, ::-1], lambda done: progress("hashing", total + done, 2 * total))
    found = within(upright, mirrored, lambda done: progress("searching", done, total))
    pairs = once(found)
    similar = similarities(
        images, images, pairs, lambda done: progress("comparing", done, len(pairs))
    )
    luck = chance(images, upright, pairs, lambda done, of: progress("measuring chance", done, of))
    chosen = similar >= luck.threshold
    return Copies(
        pairs=pairs.where(chosen),
        similarity=similar[chosen],
        threshold=luck.threshold,
        compared=len(pairs),
        crowded=found.crowded,
        upside_down=luck.upside_down,
    )
