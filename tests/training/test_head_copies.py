"""A head at several learning rates in one pass: each copy trains as if alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from workbench import watch_losses

from bench.models.backends.base import Array, current_backend
from bench.protocol import EarlyStopping, Head, Optimizer, Phase

if TYPE_CHECKING:
    from bench.training.phase_tracker import PhaseTracker

pytestmark = pytest.mark.slow  # it loads a framework

FEATURES, IMAGES = 6, 45  # the last of the batches of 8 is short
STOPPING = EarlyStopping("val_loss", 2)


def rows(classes: int) -> tuple[Array, Array]:
    """Return noisy features that separate the classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, IMAGES)
    features = rng.standard_normal((IMAGES, FEATURES))
    features[np.arange(IMAGES), labels] += 2
    return features.astype("float32"), labels


@pytest.mark.parametrize(
    ("optimizer", "head", "classes", "rates"),
    [
        # Learns slowly to the end; learns and overfits; overflows 32 bits.
        ("adam", Head(dropout=0.3), 2, (1e-3, 0.3, 3e38)),
        ("sgd", Head(hidden=(5,), dropout=0.3), 3, (1e-2, 0.5, 1e38)),
        ("rmsprop", Head(hidden=(5, 4)), 3, (1e-3, 0.2)),
    ],
)
def test_each_copy_trains_as_if_alone(
    optimizer: Optimizer, head: Head, classes: int, rates: tuple[float, ...]
) -> None:
    import keras

    from bench.models.head_copies import HeadCopies
    from bench.models.network import (
        Tail,
        build_head,
        initialise_head,
        random_states,
        snapshot,
    )
    from bench.training.phase_trainer import PhaseTrainer
    from bench.training.rows import StoredRows

    phase = Phase("head", 12, 1.0, optimizer=optimizer, early_stopping=STOPPING)
    features, labels = rows(classes)
    built = build_head(head, (FEATURES,), classes)

    def trained(trainer: PhaseTrainer, rate: float = 0.0) -> tuple[list[PhaseTracker], Array]:
        """The tracker of each copy, and the losses of all batches."""
        validation = StoredRows(features[:15])
        trainer.compile(validation, 8)
        losses = watch_losses(trainer)
        trackers = trainer.run(
            lambda epoch: [StoredRows(features), StoredRows(-features)],
            labels,
            validation,
            labels[:15],
            seed=3,
            batch_size=8,
            learning_rate=rate,
        )
        return trackers, np.concatenate(losses)

    initialise_head(built, 3)
    copies = HeadCopies(built, len(rates))
    copies.copy_from(built)
    # PyTorch clears the gradients of one of several variables of a path only.
    assert len({variable.path for variable in copies.weights}) == len(copies.weights)
    together, all_losses = trained(PhaseTrainer(phase, 0, copies, current_backend(), rates))
    weights = [snapshot(own) for own in copies.weights_per_copy()]

    tail = Tail(None, built, trains_batchnorm=False)
    tail(keras.Input((FEATURES,)))
    one_by_one = PhaseTrainer(phase, 0, tail, current_backend())
    lengths = set()
    for copy, rate in enumerate(rates):
        initialise_head(built, 3)
        (alone,), losses = trained(one_by_one, rate)
        found = together[copy]
        assert str(found.error) == str(alone.error)
        if alone.error is not None:
            continue
        lengths.add(len(alone.epochs))
        assert found.best_epoch == alone.best_epoch
        assert found.stopped_early == alone.stopped_early
        assert [e.accuracy for e in found.epochs] == [e.accuracy for e in alone.epochs]
        np.testing.assert_allclose(all_losses[: len(losses), copy], losses, rtol=1e-4)
        np.testing.assert_allclose(found.validation, alone.validation, atol=1e-5)
        for mine, own in zip(weights[copy], snapshot(built.weights), strict=True):
            np.testing.assert_allclose(mine, own, atol=1e-5)
        for state, own in zip(found.dropout, snapshot(random_states(built)), strict=True):
            np.testing.assert_array_equal(state, own)
    assert len(lengths) == 2  # one ended before the other
    assert len(rates) == 2 or together[2].error is not None
