"""Near copies among thumbnails: hashes find who may be one, pixels say who is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.audit.chance import chance
from bench.data.audit.hashing import hashes
from bench.data.audit.search import Candidates, once, within
from bench.data.audit.similarity import similarities
from bench.data.audit.thumbnails import Thumbnails

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
