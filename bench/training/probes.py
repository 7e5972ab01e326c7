"""Probes: classifiers on the pooled features of a frozen network, fitted in seconds.

There are two: k nearest neighbours, and a multinomial logistic regression with an L2 penalty. Both
are deterministic, standardise the features by the training images, and return probabilities
(images x classes). This module needs only NumPy and SciPy; the features come from `features.py`,
and `bench/analysis/metrics/probes.py` computes metrics from the probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.training.losses import cross_entropy, softmax
from bench.types import Probes, SplitName

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]

PROBES = ("knn", "logistic")  # their names in arrays and metrics
NEIGHBOURS = 20
TEMPERATURE = 0.07  # a neighbour's vote is exp(similarity / TEMPERATURE)
PENALTIES = (10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)  # L2 strengths, the strongest first
FOLDS = 5
BLOCK = 256  # queries whose similarities to all features are in memory at once
TOLERANCE = 1e-5  # on the largest entry of the gradient
MAX_ITERATIONS = 200
TYPICAL_ITERATIONS, TYPICAL_FEATURES = 40, 1280


def fit_and_predict(
    features: Mapping[SplitName, Floats], labels: Mapping[SplitName, Labels], classes: int
) -> tuple[Probes, dict[str, Floats]]:
    """Fit both probes to the training images; return their description for the record, and the
    arrays of their validation and test probabilities."""
    train, truth = features["train"], labels["train"]
    fitted = fit_logistic(features, labels, classes)
    arrays = {
        "knn_validation_probabilities": knn_probabilities(
            train, truth, features["validation"], classes
        ),
        "knn_test_probabilities": knn_probabilities(train, truth, features["test"], classes),
        "logistic_validation_probabilities": fitted.validation,
        "logistic_test_probabilities": fitted.test,
    }
    return Probes(train.shape[1], min(NEIGHBOURS, len(train)), fitted.strength), arrays


def nearest_neighbours(
    features: Floats, queries: Floats, count: int
) -> tuple[NDArray[np.intp], Floats]:
    """Return the row numbers of each query's nearest features by cosine similarity, and the
    similarities, both queries x neighbours, the nearest first.

    There are `count` neighbours, or as many as there are features.
    """
    count, normalised = min(count, len(features)), normalise(features).T
    rows = np.empty((len(queries), count), np.intp)
    similarities = np.empty((len(queries), count))
    for first in range(0, len(queries), BLOCK):
        piece = slice(first, first + BLOCK)
        similarity = normalise(queries[piece]) @ normalised
        unsorted = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(similarity, unsorted, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        rows[piece] = np.take_along_axis(unsorted, order, axis=1)
        similarities[piece] = np.take_along_axis(values, order, axis=1)
    return rows, similarities


def knn_probabilities(features: Floats, labels: Labels, queries: Floats, classes: int) -> Floats:
    """Return each query's class probabilities by the weighted votes of its nearest neighbours."""
    features, queries = _standardise(features, features, queries)
    rows, similarity = nearest_neighbours(features, queries, NEIGHBOURS)
    weights = np.exp((similarity - similarity[:, :1]) / TEMPERATURE)
    votes = np.zeros((len(queries), classes))
    np.add.at(votes, (np.arange(len(queries))[:, None], labels[rows]), weights)
    probabilities: Floats = votes / votes.sum(axis=1, keepdims=True)
    return probabilities


@dataclass(frozen=True)
class Regression:
    """A fitted logistic regression: its probabilities, and the strength of its penalty."""

    validation: Floats
    test: Floats
    strength: float


def fit_logistic(
    features: Mapping[SplitName, Floats], labels: Mapping[SplitName, Labels], classes: int
) -> Regression:
    """Fit a logistic regression; choose the penalty by the validation loss."""
    best, lowest = None, np.inf
    others = features["validation"], features["test"]
    for strength, (validation, test) in _regularisation_path(
        features["train"], labels["train"], classes, *others
    ):
        loss = cross_entropy(labels["validation"], validation)
        if loss >= lowest:
            break  # weaker penalties only fit the training images more closely
        best, lowest = Regression(validation, test, strength), loss
    assert best is not None
    return best


def cross_validate(
    features: Floats, labels: Labels, classes: int, groups: Labels | None = None, folds: int = FOLDS
) -> Floats:
    """Return each image's probabilities by a logistic regression fitted without its fold.

    Images of one group, such as copies, are in one fold. One penalty is chosen for all folds, by
    the loss on the held-out images.
    """
    fold = assign_folds(labels, groups, folds)
    held_out = [fold == number for number in np.unique(fold)]
    paths = [
        _regularisation_path(features[~out], labels[~out], classes, features[out])
        for out in held_out
    ]
    best, lowest = np.zeros((len(labels), classes)), np.inf
    for fits in zip(*paths, strict=True):
        probabilities = np.empty((len(labels), classes))
        for out, (_, (of_fold,)) in zip(held_out, fits, strict=True):
            probabilities[out] = of_fold
        loss = cross_entropy(labels, probabilities)
        if loss >= lowest:
            break
        best, lowest = probabilities, loss
    return best


def assign_folds(labels: Labels, groups: Labels | None, folds: int) -> NDArray[np.intp]:
    """Return the fold of each image, so that no group is split and each class is spread evenly.

    The largest groups are assigned first, each to the fold with the fewest images of the class of
    the group's first image.
    """
    groups = np.arange(len(labels)) if groups is None else groups
    _, first, group, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    shuffled = np.random.default_rng(0).permutation(len(sizes))
    counts = np.zeros((int(labels.max()) + 1, folds), np.int64)
    fold_of_group = np.empty(len(sizes), np.intp)
    for number in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        class_counts = counts[labels[first[number]]]
        fold = np.lexsort((counts.sum(axis=0), class_counts))[0]
        fold_of_group[number] = fold
        class_counts[fold] += sizes[number]
    return fold_of_group[group]


def _regularisation_path(
    features: Floats, labels: Labels, classes: int, *others: Floats
) -> Iterator[tuple[float, tuple[Floats, ...]]]:
    """Fit with each of `PENALTIES`, starting from the weights before; yield the strength and the
    probabilities of each of `others`."""
    from scipy.optimize import minimize

    parts = _standardise(features, features, *others)
    x, *rest = (np.pad(part, ((0, 0), (0, 1)), constant_values=1) for part in parts)
    one_hot = np.zeros((len(labels), classes))
    one_hot[np.arange(len(labels)), labels] = 1

    def cost(flat: Floats, strength: float) -> tuple[float, Floats]:
        weights = flat.reshape(-1, classes)
        probabilities = _probabilities(x, weights)
        penalty = strength * weights
        penalty[-1] = 0  # intercepts are not penalised
        gradient = x.T @ ((probabilities - one_hot) / len(labels)).astype(x.dtype) + penalty
        loss = cross_entropy(labels, probabilities) + float((penalty * weights).sum()) / 2
        return loss, gradient.ravel()

    weights = np.zeros(x.shape[1] * classes)
    for strength in PENALTIES:
        options = {"gtol": TOLERANCE, "maxiter": MAX_ITERATIONS}
        weights = minimize(cost, weights, strength, "L-BFGS-B", jac=True, options=options).x
        matrix = weights.reshape(-1, classes)
        yield strength, tuple(_probabilities(part, matrix) for part in rest)


def estimate_operations(images: Mapping[SplitName, int], classes: int) -> float:
    """Estimate the floating-point operations of `fit_and_predict`, for a typical number of features
    and of iterations per fit."""
    products = 4 * len(PENALTIES) * TYPICAL_ITERATIONS * classes  # two per iteration
    others = images["validation"] + images["test"]
    return float(TYPICAL_FEATURES * images["train"] * (products + 2 * others))


def _standardise(features: Floats, *parts: Floats) -> list[Floats]:
    """Standardise the parts by the mean and standard deviation of `features`."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1)
    return [(part - mean) / scale for part in parts]


def normalise(rows: Floats) -> Floats:
    """Scale rows to length 1, so that their dot products are cosine similarities."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def _probabilities(features: Floats, weights: Floats) -> Floats:
    return softmax((features @ weights.astype(features.dtype)).astype(np.float64))
