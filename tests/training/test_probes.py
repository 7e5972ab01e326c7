"""Probes: against figures worked by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from bench.training import probes
from bench.training.probes import Floats, Labels
from bench.types import SPLITS, SplitName

Data = tuple[Floats, Labels]


def _blobs(count: int, seed: int, classes: int = 3, channels: int = 6) -> Data:
    """Return features around one centre per class, with overlap."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = np.random.default_rng(0).standard_normal((classes, channels))
    return centres[labels] + rng.standard_normal((count, channels)) + 5, labels


def test_nearest_neighbours_depend_on_angle_not_length() -> None:
    features = np.array([[1.0, 0.0], [0.0, 3.0], [5.0, 5.0], [-1.0, 0.0]])
    rows, similarity = probes.nearest_neighbours(features, np.array([[2.0, 0.0], [0.0, 0.0]]), 3)
    assert rows[0].tolist() == [0, 2, 1]
    assert similarity[0] == pytest.approx([1.0, 0.5**0.5, 0.0])
    assert similarity[1] == pytest.approx([0, 0, 0])  # a vector without a direction
    assert probes.nearest_neighbours(features, features, 9)[0].shape == (4, 4)


def test_nearest_neighbours_do_not_depend_on_the_other_queries() -> None:
    features, queries = _blobs(40, 1)[0], _blobs(probes.BLOCK + 10, 2)[0]
    rows, _ = probes.nearest_neighbours(features, queries, 5)
    for place in (0, probes.BLOCK - 1, probes.BLOCK, len(queries) - 1):
        assert (
            rows[place].tolist()
            == probes.nearest_neighbours(features, queries[[place]], 5)[0][0].tolist()
        )


def test_near_neighbours_outvote_far_ones() -> None:
    # Standardised, these are at (±1, ±1): one at the query, two at a right angle, one opposite.
    corners = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
    shares = probes.knn_probabilities(corners, np.array([0, 1, 1, 1]), np.array([[0.5, 0.5]]), 3)
    near, right, far = (np.exp(cosine / probes.TEMPERATURE) for cosine in (1, 0, -1))
    assert shares[0] == pytest.approx([near / (near + 2 * right + far), 1 - shares[0, 0], 0])
    assert shares[0, 0] > 0.99


def test_only_the_nearest_neighbours_vote() -> None:
    features, _ = _blobs(60, 1)
    known, queries = probes._standardise(features, features, features)
    rows, _ = probes.nearest_neighbours(known, queries, 60)
    shares = probes.knn_probabilities(features, np.arange(60), features, 60)
    assert ((shares > 0).sum(axis=1) == probes.NEIGHBOURS).all()
    assert shares[0, rows[0, : probes.NEIGHBOURS]].min() > 0


def test_logistic_regression_agrees_with_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    features, labels = _blobs(60, 1)
    of_test, _ = _blobs(50, 2)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    strengths = []
    for strength, (found,) in probes._regularisation_path(features, labels, 3, of_test):
        fitted = linear.LogisticRegression(C=1 / (strength * len(labels)), tol=1e-8, max_iter=10000)
        fitted.fit((features - mean) / deviation, labels)
        expected = fitted.predict_proba((of_test - mean) / deviation)
        np.testing.assert_allclose(found, expected, atol=0.02)
        strengths.append(strength)
    assert tuple(strengths) == probes.PENALTIES


def test_the_penalty_with_the_lowest_validation_loss_is_chosen() -> None:
    features, labels = _blobs(30, 1)
    validation, of_validation = _blobs(300, 2)
    splits: dict[SplitName, Floats] = {
        "train": features,
        "validation": validation,
        "test": validation[:7],
    }
    truth: dict[SplitName, Labels] = {"train": labels, "validation": of_validation}
    found = probes.fit_logistic(splits, truth, 3)
    losses = {
        strength: -np.log(shares[np.arange(300), of_validation]).mean()
        for strength, (shares,) in probes._regularisation_path(features, labels, 3, validation)
    }
    assert found.strength == min(losses, key=lambda strength: losses[strength])
    assert found.strength not in (probes.PENALTIES[0], probes.PENALTIES[-1])  # it could be either
    np.testing.assert_array_equal(found.test, found.validation[:7])
    assert found.test.sum(axis=1) == pytest.approx(1)
    again = probes.fit_logistic(splits, truth, 3)
    np.testing.assert_array_equal(again.validation, found.validation)


def test_a_constant_channel_changes_nothing() -> None:
    features, labels = _blobs(30, 1)
    constant = np.concatenate([features, np.full((30, 1), 7.0)], axis=1)
    expected = probes.knn_probabilities(features, labels, features, 3)
    np.testing.assert_allclose(probes.knn_probabilities(constant, labels, constant, 3), expected)
    splits = dict.fromkeys(SPLITS, constant)
    fitted = probes.fit_logistic(splits, dict.fromkeys(splits, labels), 3)
    assert np.isfinite(fitted.test).all()


def test_folds_keep_groups_together_and_classes_balanced() -> None:
    labels = np.array([0] * 6 + [1] * 6)
    groups = np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9])
    fold = probes.assign_folds(labels, groups, 5)
    assert fold[0] == fold[1]
    assert fold[10] == fold[11]
    for label in (0, 1):
        assert set(fold[labels == label]) == set(range(5))  # five groups each, one in each fold
    assert sorted(np.bincount(probes.assign_folds(np.zeros(12, int), None, 5))) == [2, 2, 2, 3, 3]


def test_cross_validation_predicts_each_image_without_its_group() -> None:
    # Labels by chance: only an image's copy could give its label away.
    rng = np.random.default_rng(0)
    features = np.repeat(rng.standard_normal((50, 60)), 2, axis=0)
    labels = np.repeat(rng.integers(2, size=50), 2)

    def right(groups: Labels | None) -> float:
        found = probes.cross_validate(features, labels, 2, groups)
        return float((found.argmax(axis=1) == labels).mean())

    assert right(None) > 0.85  # nearly every image's copy was fitted
    assert right(np.repeat(np.arange(50), 2)) < 0.65


def test_cross_validation_fits_each_fold_on_the_others() -> None:
    features, labels = _blobs(60, 1)
    found = probes.cross_validate(features, labels, 3, folds=4)
    out = probes.assign_folds(labels, None, 4) == 2
    paths = probes._regularisation_path(features[~out], labels[~out], 3, features[out])
    assert any(np.array_equal(shares, found[out]) for _, (shares,) in paths)
    assert found.sum(axis=1) == pytest.approx(1)
    assert (found.argmax(axis=1) == labels).mean() > 0.6
