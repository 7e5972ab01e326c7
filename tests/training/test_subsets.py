"""Fractions of the training set: stratified, nested, drawn by seed; and trials on them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from workbench import PROTOCOL, SETTINGS, make_dataset, run

from bench.protocol import Augment
from bench.storage.cache import Store
from bench.training.rows import RowSubset, StoredRows, stratified_sample

pytestmark = pytest.mark.slow  # it loads a framework


def test_a_sample_has_a_fraction_of_each_class_and_at_least_one_image() -> None:
    labels = np.array([0] * 20 + [1] * 10 + [2] * 2)
    for fraction, counts in ((1.0, [20, 10, 2]), (0.5, [10, 5, 1]), (0.01, [1, 1, 1])):
        chosen = stratified_sample(labels, fraction, seed=0)
        assert np.bincount(labels[chosen]).tolist() == counts
        assert chosen.tolist() == sorted(set(chosen.tolist()))


def test_samples_are_nested_and_differ_between_seeds() -> None:
    labels = np.arange(100) % 3
    shares = [
        set(stratified_sample(labels, f, seed=7).tolist()) for f in (0.05, 0.1, 0.3, 0.9, 1.0)
    ]
    for smaller, larger in pairwise(shares):
        assert smaller < larger
    assert shares[1] != set(stratified_sample(labels, 0.1, seed=8).tolist())


def test_a_row_subset_returns_the_rows_of_its_images() -> None:
    rows = StoredRows(np.arange(10.0) ** 2)
    subset = RowSubset(rows, np.array([2, 5, 9]))
    assert len(subset) == 3
    assert subset.take(np.array([2, 0, 0])).tolist() == [81, 4, 4]


def test_trials_on_fractions_share_the_activations(tmp_path: Path, store: Store) -> None:
    dataset = make_dataset(tmp_path / "data", store)
    found, log = run(dataset, store, tmp_path / "r", seeds=(0, 1), fractions=(0.1, 1.0, 0.35))
    assert [(e.record.trial.fraction, e.record.trial.seed) for e in found] == [
        *((1.0, 0), (1.0, 1), (0.35, 0), (0.35, 1), (0.1, 0), (0.1, 1))
    ]
    # 20 images of each class: 0.35 is 7 of each, 0.1 is 2.
    assert [e.record.train_images for e in found] == [40, 40, 14, 14, 4, 4]
    assert len({e.record.trial.key for e in found}) == 6
    # One pass of the frozen part for all six trials.
    assert sum(stage.startswith("frozen part, train") for stage in log.stages) == len(
        [s for s in log.stages[: log.stages.index("head")] if s.startswith("frozen part, tr")]
    )
    for evidence in found:
        assert evidence.arrays["test_probabilities"].shape == (16, 2)
        assert [len(phase.epochs) for phase in evidence.record.phases] == [3, 2]
    # What a share gives does not depend on which others were asked for.
    (alone,), _ = run(dataset, store, tmp_path / "alone", fractions=(0.35,))
    assert alone.record.trial.key == found[2].record.trial.key
    np.testing.assert_allclose(
        alone.arrays["test_probabilities"], found[2].arrays["test_probabilities"], rtol=1e-5
    )


def test_a_trial_on_a_fraction_is_the_same_without_the_cache(tmp_path: Path, store: Store) -> None:
    dataset = make_dataset(tmp_path / "data", store)
    phase = PROTOCOL.phases[1]
    # Drawn anew in every epoch, so that the frozen part runs on the share alone.
    drawn = replace(phase, augment=Augment(rotation=20))
    protocol = replace(PROTOCOL, phases=(PROTOCOL.phases[0], drawn))
    answers = []
    for cache in (True, False):
        (evidence,), _ = run(
            dataset,
            store,
            tmp_path / str(cache),
            settings=replace(SETTINGS, cache=cache),
            protocol=protocol,
            fractions=(0.35,),
        )
        assert evidence.record.train_images == 14
        answers.append(evidence.arrays["test_probabilities"])
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-4)
