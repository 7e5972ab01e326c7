"""Two-dimensional maps of images by their features: principal components and, optionally, UMAP."""

from __future__ import annotations

import traceback

import numpy as np

from bench.models.backends.base import Array
from bench.system.frameworks import hide_packages

NEIGHBOURS = 15  # of each image, for UMAP; its default
SEED = 0


def principal_components(features: Array) -> tuple[Array, Array]:
    """Return the first two principal components of each row, and the fraction of the variance that
    each explains."""
    centred = features.astype(np.float64) - features.mean(axis=0)
    # The Gram matrix of the images takes a third of the time of an SVD of the features.
    squares, left = np.linalg.eigh(centred @ centred.T)
    largest = np.maximum(squares[:-3:-1], 0.0)
    found = np.zeros((len(features), 2))
    found[:, : len(largest)] = left[:, :-3:-1] * np.sqrt(largest)
    # The sign of a component is arbitrary: make its largest value positive.
    strongest = found[np.abs(found).argmax(axis=0), [0, 1]]
    shares = np.zeros(2)
    shares[: len(largest)] = largest / max(float(squares.sum()), 1e-30)
    return found * np.where(strongest < 0, -1.0, 1.0), shares


def umap(features: Array) -> Array | None:
    """Return the UMAP position of each row, reproducibly.

    `None` if `umap-learn` is not installed or fails, or if there are too few rows.
    """
    if len(features) <= NEIGHBOURS:
        return None
    try:
        with hide_packages("tensorflow"):  # UMAP would import it for its parametric variant
            from umap import UMAP
    except ImportError:
        return None
    try:
        # One thread: with several, the result differs for the same seed.
        found = UMAP(n_neighbors=NEIGHBOURS, random_state=SEED, n_jobs=1).fit_transform(features)
    except Exception:  # UMAP may raise any type; the map by principal components remains
        traceback.print_exc()
        return None
    return np.asarray(found)
