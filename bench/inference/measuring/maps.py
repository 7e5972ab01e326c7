"""Images on a plane, by their features: principal components and, where it is installed, UMAP."""

from __future__ import annotations

import traceback

import numpy as np

from bench.models.backends.base import Array
from bench.system.frameworks import hide_packages

NEIGHBOURS = 15  # that UMAP keeps close to each image: its own default
SEED = 0


def principal(features: Array) -> tuple[Array, Array]:
    """Return the first two principal components of each row, and their shares of the variance."""
    centred = features.astype(np.float64) - features.mean(axis=0)
    # Of the images' products with each other: a third of the time of the features' own SVD.
    squares, left = np.linalg.eigh(centred @ centred.T)
    largest = np.maximum(squares[:-3:-1], 0.0)
    found = np.zeros((len(features), 2))
    found[:, : len(largest)] = left[:, :-3:-1] * np.sqrt(largest)
    # Either sign would do: the same one each time.
    strongest = found[np.abs(found).argmax(axis=0), [0, 1]]
    shares = np.zeros(2)
    shares[: len(largest)] = largest / max(float(squares.sum()), 1e-30)
    return found * np.where(strongest < 0, -1.0, 1.0), shares


def umap(features: Array) -> Array | None:
    """Return the place of each row by UMAP, the same each time; `None` where `umap-learn` is not
    installed, or does not succeed with these."""
    if len(features) <= NEIGHBOURS:
        return None
    try:
        with hide_packages("tensorflow"):  # loaded, where it is there, for another of its maps
            from umap import UMAP
    except ImportError:
        return None
    try:
        # One thread: with several the same seed gives other places.
        found = UMAP(n_neighbors=NEIGHBOURS, random_state=SEED, n_jobs=1).fit_transform(features)
    except Exception:  # of any type, on features that nobody has seen; the other map remains
        traceback.print_exc()
        return None
    return np.asarray(found)
