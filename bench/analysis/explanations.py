"""What explains a backbone's mistakes: the parts of the image that speak for the answer, the
nearest training images, and where the test images lie among each other.

The measuring process computes it with the kept model (`bench/inference/measuring/explained.py`) and
stores it in the trial's arrays; here it is read. Of random weights there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.classification import Floats, Predictions
from bench.storage.records import Evidence
from bench.types import Record

IMAGES, ANSWERS, HEATMAPS = "explained_images", "explained_answers", "explained_heatmaps"
NEAREST, SIMILARITY = "explained_nearest", "explained_similarity"
MAP_IMAGES, MAP, MAP_SHARES = "map_images", "map", "map_shares"
UMAP = "map_umap"  # where it is installed
ARRAYS = (IMAGES, ANSWERS, HEATMAPS, NEAREST, SIMILARITY, MAP_IMAGES, MAP, MAP_SHARES)

# Of a heatmap where it is weakest and strongest, over an image; the page has them in `images.js`.
COLOURS = np.array([[12, 18, 48], [255, 170, 0]])
OPACITY = 0.55


@dataclass(frozen=True)
class Neighbour:
    """A training image, and the cosine of its features with those of a test image."""

    image: int  # its place in the training split
    similarity: float


@dataclass(frozen=True, eq=False)
class Explained:
    """One test image that a backbone gets wrong."""

    answer: int  # the class that the heatmap is of
    heatmap: Floats  # rows x columns: the share of the strongest place that speaks for the answer
    nearest: tuple[Neighbour, ...]


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Test images by the first two principal components of their features, and by UMAP."""

    images: Sequence[int]
    places: Floats  # images x 2
    shares: tuple[float, float]  # of the variance
    umap: Floats | None = None  # the same images; None where it was not installed


@dataclass(frozen=True, eq=False)
class Explanations:
    """What one trained model of a backbone gave."""

    record: Record
    predictions: Predictions
    images: Mapping[int, Explained]  # by place in the test split
    map: EmbeddingMap

    def heatmap(self, image: int, answer: int) -> Floats | None:
        """Return the heatmap of an image for this answer; other seeds may prefer another."""
        found = self.images.get(image)
        return found.heatmap if found is not None and found.answer == answer else None


def explanations(evidence: Evidence, predictions: Predictions | None) -> Explanations | None:
    """Return what a trial's model explains, if it was asked to."""
    arrays = evidence.arrays
    if predictions is None or not all(name in arrays for name in ARRAYS):
        return None
    each = zip(*(arrays[name] for name in ARRAYS[:5]), strict=True)
    images = {
        int(image): Explained(
            int(answer),
            shares(heatmap),
            tuple(Neighbour(int(i), float(s)) for i, s in zip(nearest, similar, strict=True)),
        )
        for image, answer, heatmap, nearest, similar in each
    }
    first, second = arrays[MAP_SHARES].tolist()
    found = arrays[MAP_IMAGES].tolist(), arrays[MAP], (first, second)
    places = EmbeddingMap(*found, arrays.get(UMAP))
    return Explanations(evidence.record, predictions, images, places)


def shares(heatmap: NDArray[np.float64]) -> Floats:
    """Return how much each place speaks for the answer, relative to the strongest; 0 where it
    speaks against it."""
    speaks = np.maximum(heatmap, 0.0)
    most = speaks.max(initial=0.0)
    found: Floats = speaks / most if most else speaks
    return found
