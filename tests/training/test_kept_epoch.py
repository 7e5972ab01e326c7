"""A phase keeps the weights of its best epoch, or its initial weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import workbench
from msgspec import convert
from workbench import train_tail

from bench.models.backends.base import current_backend
from bench.protocol import EarlyStopping, Phase, Unfreeze
from bench.storage.cache import Store
from bench.types import Epoch, PhaseResult, Validation

pytestmark = pytest.mark.slow  # it loads a framework

STOPPING = EarlyStopping(patience=1)


def phase(rate: float, epochs: int = 2, stopping: EarlyStopping | None = STOPPING) -> Phase:
    return Phase("phase", epochs, rate, "sgd", Unfreeze("stages", 1), early_stopping=stopping)


def test_a_phase_that_only_makes_it_worse_keeps_the_initial_weights() -> None:
    before = train_tail(current_backend(), phase(1e-9, epochs=1, stopping=None), 16, 8)
    worse = train_tail(current_backend(), phase(50.0), 16, 8)
    for kept, start in zip(worse.weights, before.weights, strict=True):
        np.testing.assert_allclose(kept, start, atol=1e-6)
    tracker = worse.tracker
    assert (tracker.best_epoch, tracker.stopped_early, tracker.at_limit) == (0, True, False)
    assert tracker.start is not None
    assert tracker.epochs[0].val_loss > tracker.start.loss
    # The images are the same in training and validation, and SGD at 1e-9 changes nothing.
    assert tracker.start.loss == pytest.approx(before.tracker.epochs[0].val_loss, abs=1e-5)
    np.testing.assert_allclose(tracker.validation, before.tracker.validation, atol=1e-5)


def test_a_best_epoch_that_is_the_last_allowed_is_at_limit() -> None:
    tracker = train_tail(current_backend(), phase(1e-3), 16, 8).tracker
    assert (tracker.best_epoch, tracker.at_limit, tracker.stopped_early) == (2, True, False)


def test_without_early_stopping_the_last_epoch_is_kept_and_not_at_limit() -> None:
    tracker = train_tail(current_backend(), phase(50.0, stopping=None), 16, 8).tracker
    assert (tracker.best_epoch, tracker.at_limit, tracker.start) == (2, False, None)


def test_a_phase_starts_from_the_validation_of_the_previous_phase(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    dataset = workbench.make_dataset(tmp_path / "images", store)
    head = dataclasses.replace(workbench.PROTOCOL.phases[0], early_stopping=STOPPING)
    protocol = dataclasses.replace(workbench.PROTOCOL, phases=(head, phase(50.0)))
    (evidence,), _ = workbench.run(dataset, store, tmp_path / "run", protocol=protocol)
    first, second = evidence.record.phases
    assert second.best_epoch == 0
    assert second.start == first.kept == second.kept
    after = evidence.arrays["phase_test_probabilities"]
    np.testing.assert_allclose(after[1], after[0], atol=1e-6)


def test_the_kept_epoch_of_old_and_new_records() -> None:
    epochs = tuple(Epoch(0.5, 0.7, loss, 0.8, 1.0) for loss in (0.6, 0.4))
    raw = {
        "name": "head",
        "cut": "features",
        "views": "none",
        "trainable_parameters": 1,
        "best_epoch": 2,
        "stopped_early": False,
        "epochs": [dataclasses.asdict(epoch) for epoch in epochs],
        "compile_seconds": 0.0,
        "train_seconds": 0.0,
    }
    old = convert(raw, PhaseResult)
    assert (old.kept_epoch, old.kept) == (epochs[1], Validation(0.4, 0.8))
    start = {"loss": 0.3, "accuracy": 0.9}
    unchanged = convert(raw | {"best_epoch": 0, "start": start}, PhaseResult)
    assert (unchanged.kept_epoch, unchanged.kept) == (None, Validation(0.3, 0.9))
    assert convert(raw | {"best_epoch": 0, "epochs": []}, PhaseResult).kept is None
