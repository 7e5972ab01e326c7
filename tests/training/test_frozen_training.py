"""Training from cached activations is the plain training: the same losses, batch by batch.

Every kind of cut, with and without augmentation, against the path that runs the frozen part each
time.
"""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
import tiny
from keras import layers
from workbench import watch_losses

from bench.models.backends.base import Array, current_backend
from bench.models.network import (
    Network,
    build_head,
    initialise_head,
    restore,
    seed_dropout,
    snapshot,
)
from bench.protocol import Augment, BatchNorm, Head, Phase, Unfreeze
from bench.storage.cache import Store
from bench.training.augment import PLAIN, View, fixed_views
from bench.training.features import FrozenFeatures
from bench.training.phase_tracker import PhaseTracker, single_tracker
from bench.training.phase_trainer import PhaseTrainer
from bench.training.prepared import ForwardPassCache
from bench.training.rows import Rows
from bench.types import SplitName

pytestmark = pytest.mark.slow  # it loads a framework

PHASE = Phase("phase", epochs=3, learning_rate=1e-2)
BATCH = 8  # does not divide the 30 images: the last batch is short or padded


class Training:
    """One phase of a network, built and compiled once for all seeds, as in a trial."""

    def __init__(self, phase: Phase, store: Store) -> None:
        self.phase, self.store, self.backend = phase, store, current_backend()
        self.network = Network(tiny.TINY, tiny.SIZE)
        pixels, self.labels = tiny.images(30, seed=1)
        val_pixels, self.val_labels = tiny.images(10, seed=2)
        self.entries = {
            "train": tiny.store_images(store, "train", pixels),
            "validation": tiny.store_images(store, "validation", val_pixels),
            "test": tiny.store_images(store, "validation", val_pixels),
        }
        self.passes = ForwardPassCache(self.network, self.backend)
        self.cut = self.network.unfreeze(phase)
        self.head = build_head(Head(dropout=0.2), self.network.features_shape, 2)
        tail = self.network.tail(self.cut, self.head, phase, fold=True)
        self.trainer = PhaseTrainer(phase, 0, tail, self.backend)
        self.initial = snapshot(self.network.base.weights)
        self.losses = watch_losses(self.trainer)

    def run(self, *, cached: bool, seed: int = 0) -> tuple[PhaseTracker, Array]:
        """Train from the initial weights, with or without the cache; return the tracker and the
        loss of each batch."""
        self.losses.clear()
        store = self.store if cached else None
        frozen = FrozenFeatures(self.passes, "no file", self.entries, store)  # type: ignore[arg-type]

        def rows(split: SplitName, view: View) -> Rows:
            return frozen.rows(split, view, [self.cut], lambda d, t: None)[self.cut]

        views = [rows("train", view) for view in fixed_views(self.phase.augment) or ()]
        validation = rows("validation", PLAIN)
        self.trainer.compile(validation, BATCH)
        restore(self.network.base.weights, self.initial)
        initialise_head(self.head, seed)
        trackers = self.trainer.run(
            lambda epoch: views,
            self.labels,
            validation,
            self.val_labels,
            seed=seed,
            batch_size=BATCH,
            learning_rate=self.phase.learning_rate,
        )
        return single_tracker(trackers), np.concatenate(self.losses)


CUTS = [
    Unfreeze("none"),
    Unfreeze("stages", 1),
    Unfreeze("stages", 2),
    Unfreeze("stages", 3),
    Unfreeze("from_layer", 9),
    Unfreeze("all"),
]


@pytest.mark.parametrize("unfreeze", CUTS, ids=str)
@pytest.mark.parametrize("batchnorm", ["frozen", "trained"])
def test_cached_losses_equal_uncached(
    unfreeze: Unfreeze, batchnorm: BatchNorm, store: Store
) -> None:
    phase = replace(PHASE, unfreeze=unfreeze, batchnorm=batchnorm)
    training = Training(phase, store)
    _, cached = training.run(cached=True)
    _, plain = training.run(cached=False)
    assert len(cached) == 3 * 4
    np.testing.assert_allclose(cached, plain, rtol=1e-4)
    # The comparison would also hold if nothing were trained.
    trained = snapshot(training.head.weights)
    initialise_head(training.head, 0)
    assert not np.allclose(trained[0], snapshot(training.head.weights)[0], atol=1e-3)


@pytest.mark.parametrize(
    "augment", [Augment(flip=True), Augment(rotation=20, zoom=0.1, flip=True, views=3)], ids=str
)
def test_cached_views_equal_uncached(augment: Augment, store: Store) -> None:
    phase = replace(PHASE, unfreeze=Unfreeze("stages", 1), augment=augment)
    training = Training(phase, store)
    _, cached = training.run(cached=True)
    _, plain = training.run(cached=False)
    np.testing.assert_allclose(cached, plain, rtol=1e-4)
    _, without = Training(replace(phase, augment=Augment()), store).run(cached=True)
    assert not np.allclose(cached, without, rtol=1e-3)


def test_a_seed_gives_the_same_result_alone_and_after_another(store: Store) -> None:
    phase = replace(PHASE, unfreeze=Unfreeze("stages", 1))
    _, alone = Training(phase, store).run(cached=True, seed=1)
    training = Training(phase, store)
    training.run(cached=True, seed=0)
    _, after = training.run(cached=True, seed=1)
    np.testing.assert_array_equal(alone, after)
    _, other = training.run(cached=True, seed=2)
    assert not np.array_equal(alone, other)


@pytest.mark.parametrize("nested", [False, True])
def test_dropout_depends_on_the_seed_alone(nested: bool) -> None:
    start = keras.Input((64,))
    inner = layers.Dropout(0.5, seed=0)
    if nested:
        inside = keras.Input((64,))
        inner = keras.Model(inside, inner(inside))
    model = keras.Model(start, layers.Dropout(0.5, seed=0)(inner(start)))
    ones = np.ones((2, 64), "float32")

    def kept(seed: int) -> list[float]:
        seed_dropout(model, seed)
        answers = [keras.ops.convert_to_numpy(model(ones, training=True)) for _ in range(2)]
        assert not np.array_equal(*answers)  # every step draws anew
        assert set(np.unique(answers)) == {0.0, 4.0}  # each layer doubles what it keeps
        return [float(value) for value in np.ravel(answers)]

    first = kept(3)
    assert kept(4) != first
    assert kept(3) == first
    # Had both layers drawn the same, the second would drop nothing, and the mean were 2.
    assert np.mean(first) == pytest.approx(1, abs=0.35)
