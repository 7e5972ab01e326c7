"""The trained model's answers to corrupted test images: one forward pass an image and corruption.

Nothing is kept on disk but the answers: the corrupted pixels are made as they are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.training.features import Rows
from bench.training.robustness import KINDS, MOST_IMAGES, STRENGTHS, passes
from bench.training.robustness.corruptions import CORRUPTIONS

Array = NDArray[np.generic]
Answer = Callable[[Rows], NDArray[np.floating]]
"""From rows of pixels to class probabilities."""


@dataclass(frozen=True)
class Corrupted:
    """Some of the images, each corrupted as it is taken; `places` are theirs in the split."""

    images: NDArray[np.uint8]
    places: NDArray[np.integer]
    corruption: str
    strength: int
    taken: Callable[[int], None] = lambda count: None

    def __len__(self) -> int:
        return len(self.places)

    def take(self, indices: Array) -> NDArray[np.uint8]:
        corrupt = CORRUPTIONS[self.corruption]
        found = [corrupt(self.images[p], self.strength, int(p)) for p in self.places[indices]]
        self.taken(len(found))
        return np.stack(found)


def chosen(labels: NDArray[np.integer], most: int = MOST_IMAGES) -> NDArray[np.int64]:
    """At most `most` test images, as many of each class as there are; always the same."""
    drawn = np.random.default_rng(0).permutation(len(labels))
    turn = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = drawn[labels[drawn] == label]
        turn[of_class] = np.arange(len(of_class))
    # One of each class in turn, until there are enough.
    return np.sort(np.lexsort((drawn.argsort(), turn))[:most])


def measure(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    answer: Answer,
    progress: Callable[[int, int], None],
) -> dict[str, Array]:
    """The arrays of the record: which images, which corruptions, and what was answered.

    `robust_probabilities` is corruptions x strengths x images x classes.
    """
    places = chosen(labels)
    done, total = 0, passes(len(labels))

    def taken(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    answers = [
        [answer(Corrupted(images, places, name, strength, taken)) for strength in STRENGTHS]
        for name in KINDS
    ]
    return {
        "robust_images": places,
        "robust_corruptions": np.array(KINDS),
        # Single precision: there are eighteen times as many of them as of the clean ones.
        "robust_probabilities": np.array(answers, dtype=np.float32),
    }
