"""Probes: classifiers on the pooled features of a frozen network, trained in seconds.

Two of them: the votes of the nearest training images, and a multinomial logistic regression with
an L2 penalty. Both are deterministic, see features standardised by the training images, and return
probabilities (images x classes). NumPy and SciPy alone: where the features come from is in
`features.py`; figures come of the answers in `bench/analysis/metrics/probes.py`.
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

PROBES = ("knn", "logistic")  # as arrays and metrics call them
NEIGHBOURS = 20
SHARPNESS = 0.07  # a neighbour's vote is exp(similarity / SHARPNESS)
STRENGTHS = (10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)  # of the penalty, from the strongest
FOLDS = 5
PIECE = 256  # queries whose similarities to all features are held at once
TOLERANCE = 1e-5  # of the gradient's largest entry
STEPS = 200
USUAL_STEPS, USUAL_FEATURES = 40, 1280


def measure(
    features: Mapping[SplitName, Floats], labels: Mapping[SplitName, Labels], classes: int
) -> tuple[Probes, dict[str, Floats]]:
    """Fit both probes to the training images; return what was fitted, and the record's arrays: the
    probabilities of the other splits by `PROBES`."""
    train, truth = features["train"], labels["train"]
    fitted = regress(features, labels, classes)
    arrays = {
        "knn_validation_probabilities": vote(train, truth, features["validation"], classes),
        "knn_test_probabilities": vote(train, truth, features["test"], classes),
        "logistic_validation_probabilities": fitted.validation,
        "logistic_test_probabilities": fitted.test,
    }
    return Probes(train.shape[1], min(NEIGHBOURS, len(train)), fitted.strength), arrays


def nearest(features: Floats, queries: Floats, count: int) -> tuple[NDArray[np.intp], Floats]:
    """Return, for each query, the rows of its `count` nearest features by cosine similarity, the
    nearest first, and the similarities; fewer where there are not as many features."""
    count, units = min(count, len(features)), unit(features).T
    rows = np.empty((len(queries), count), np.intp)
    found = np.empty((len(queries), count))
    for first in range(0, len(queries), PIECE):
        piece = slice(first, first + PIECE)
        similarity = unit(queries[piece]) @ units
        some = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(similarity, some, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        rows[piece] = np.take_along_axis(some, order, axis=1)
        found[piece] = np.take_along_axis(values, order, axis=1)
    return rows, found


def vote(features: Floats, labels: Labels, queries: Floats, classes: int) -> Floats:
    """Return the classes' shares of the votes of each query's nearest training images."""
    features, queries = _standardised(features, features, queries)
    rows, similarity = nearest(features, queries, NEIGHBOURS)
    weights = np.exp((similarity - similarity[:, :1]) / SHARPNESS)
    votes = np.zeros((len(queries), classes))
    np.add.at(votes, (np.arange(len(queries))[:, None], labels[rows]), weights)
    shares: Floats = votes / votes.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True)
class Regression:
    """A fitted logistic regression's probabilities, and the penalty that was chosen."""

    validation: Floats
    test: Floats
    strength: float


def regress(
    features: Mapping[SplitName, Floats], labels: Mapping[SplitName, Labels], classes: int
) -> Regression:
    """Fit a logistic regression with the penalty whose loss on the validation images is least."""
    best, least = None, np.inf
    others = features["validation"], features["test"]
    for strength, (validation, test) in _path(features["train"], labels["train"], classes, *others):
        loss = cross_entropy(labels["validation"], validation)
        if loss >= least:
            break  # weaker penalties fit the training images still closer
        best, least = Regression(validation, test, strength), loss
    assert best is not None
    return best


def cross_validate(
    features: Floats, labels: Labels, classes: int, groups: Labels | None = None, folds: int = FOLDS
) -> Floats:
    """Return the probabilities of each image by the logistic regression fitted without its fold.

    Images of one group, such as copies, are in one fold. One penalty is chosen for all folds, by
    the loss on the images left out.
    """
    fold = fold_numbers(labels, groups, folds)
    held = [fold == number for number in np.unique(fold)]
    paths = [_path(features[~out], labels[~out], classes, features[out]) for out in held]
    best, least = np.zeros((len(labels), classes)), np.inf
    for fitted in zip(*paths, strict=True):
        found = np.empty((len(labels), classes))
        for out, (_, (shares,)) in zip(held, fitted, strict=True):
            found[out] = shares
        loss = cross_entropy(labels, found)
        if loss >= least:
            break
        best, least = found, loss
    return best


def fold_numbers(labels: Labels, groups: Labels | None, folds: int) -> NDArray[np.intp]:
    """Return the fold of each image: each group in one, the classes spread evenly over them.

    The largest groups are placed first, each where fewest images of its first image's class are.
    """
    groups = np.arange(len(labels)) if groups is None else groups
    _, first, group, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    drawn = np.random.default_rng(0).permutation(len(sizes))
    of_class = np.zeros((int(labels.max()) + 1, folds), np.int64)
    placed = np.empty(len(sizes), np.intp)
    for number in drawn[np.argsort(-sizes[drawn], kind="stable")]:
        held = of_class[labels[first[number]]]
        placed[number] = np.lexsort((of_class.sum(axis=0), held))[0]
        held[placed[number]] += sizes[number]
    return placed[group]


def _path(
    features: Floats, labels: Labels, classes: int, *others: Floats
) -> Iterator[tuple[float, tuple[Floats, ...]]]:
    """Yield each strength, from the strongest, with the probabilities of the other features; each
    fit starts from the one before."""
    from scipy.optimize import minimize

    parts = _standardised(features, features, *others)
    x, *rest = (np.pad(part, ((0, 0), (0, 1)), constant_values=1) for part in parts)
    wanted = np.zeros((len(labels), classes))
    wanted[np.arange(len(labels)), labels] = 1

    def cost(flat: Floats, strength: float) -> tuple[float, Floats]:
        weights = flat.reshape(-1, classes)
        shares = _probabilities(x, weights)
        penalty = strength * weights
        penalty[-1] = 0  # not of the intercepts
        gradient = x.T @ ((shares - wanted) / len(labels)).astype(x.dtype) + penalty
        loss = cross_entropy(labels, shares) + float((penalty * weights).sum()) / 2
        return loss, gradient.ravel()

    weights = np.zeros(x.shape[1] * classes)
    for strength in STRENGTHS:
        options = {"gtol": TOLERANCE, "maxiter": STEPS}
        weights = minimize(cost, weights, strength, "L-BFGS-B", jac=True, options=options).x
        found = weights.reshape(-1, classes)
        yield strength, tuple(_probabilities(part, found) for part in rest)


def operations(images: Mapping[SplitName, int], classes: int) -> float:
    """Return about how many floating-point operations `measure` takes, for an estimate of its time:
    of features of a usual number, and fits that each end after a usual number of steps."""
    products = 4 * len(STRENGTHS) * USUAL_STEPS * classes  # two in each step
    others = images["validation"] + images["test"]
    return float(USUAL_FEATURES * images["train"] * (products + 2 * others))


def _standardised(features: Floats, *parts: Floats) -> list[Floats]:
    """Return the parts with the mean and standard deviation of `features` made 0 and 1."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1)
    return [(part - mean) / scale for part in parts]


def unit(rows: Floats) -> Floats:
    """Return rows scaled to length 1, whose products are cosines."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def _probabilities(features: Floats, weights: Floats) -> Floats:
    return softmax((features @ weights.astype(features.dtype)).astype(np.float64))
