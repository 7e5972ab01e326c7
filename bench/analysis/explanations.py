"""Explanations of a backbone's mistakes: heatmaps of the image regions that support the predicted
class, the nearest training images, and a map of the test images by their features.

The measuring process computes them with the kept model (`bench/inference/measuring/explained.py`)
and stores them in the trial's arrays, where this module reads them. There are none for random
weights.
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

# Colours of a heatmap where it is weakest and strongest; `images.js` has the same for the page.
COLOURS = np.array([[12, 18, 48], [255, 170, 0]])
OPACITY = 0.55


@dataclass(frozen=True)
class Neighbour:
    """A training image, and the cosine of its features with those of a test image."""

    image: int  # index in the training split
    similarity: float


@dataclass(frozen=True, eq=False)
class ImageExplanation:
    """The explanation of one mistake."""

    predicted: int  # the class that the heatmap is for
    heatmap: Floats  # rows x columns: support for that class, 1 where it is strongest
    nearest: tuple[Neighbour, ...]


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Test images by the first two principal components of their features, and by UMAP."""

    images: Sequence[int]
    places: Floats  # coordinates, images x 2
    shares: tuple[float, float]  # fractions of the variance that the components explain
    umap: Floats | None = None  # coordinates by UMAP; None: it was not installed


@dataclass(frozen=True, eq=False)
class Explanations:
    """The explanations from one trained model of a backbone."""

    record: Record
    predictions: Predictions
    images: Mapping[int, ImageExplanation]  # by index in the test split
    map: EmbeddingMap

    def heatmap(self, image: int, predicted: int) -> Floats | None:
        """Return the heatmap of an image for this class; `None` if there is none for it."""
        found = self.images.get(image)
        return found.heatmap if found is not None and found.predicted == predicted else None


def explanations(evidence: Evidence, predictions: Predictions | None) -> Explanations | None:
    """Return the explanations of a trial; `None` if it has none."""
    arrays = evidence.arrays
    if predictions is None or not all(name in arrays for name in ARRAYS):
        return None
    each = zip(*(arrays[name] for name in ARRAYS[:5]), strict=True)
    images = {
        int(image): ImageExplanation(
            int(predicted),
            normalise_heatmap(heatmap),
            tuple(Neighbour(int(i), float(s)) for i, s in zip(nearest, similar, strict=True)),
        )
        for image, predicted, heatmap, nearest, similar in each
    }
    first, second = arrays[MAP_SHARES].tolist()
    found = arrays[MAP_IMAGES].tolist(), arrays[MAP], (first, second)
    places = EmbeddingMap(*found, arrays.get(UMAP))
    return Explanations(evidence.record, predictions, images, places)


def normalise_heatmap(heatmap: NDArray[np.float64]) -> Floats:
    """Return the heatmap scaled to a maximum of 1; negative values, evidence against, become 0."""
    positive = np.maximum(heatmap, 0.0)
    largest = positive.max(initial=0.0)
    found: Floats = positive / largest if largest else positive
    return found
