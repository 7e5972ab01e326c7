"""A batch taken in parts trains as the whole batch does, where no layer mixes images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny

from bench.backends.base import Array, Backend, current
from bench.backends.parts import InParts
from bench.features import Stored
from bench.network import Network, build_head, initialise_head
from bench.protocol import Head, Phase, Unfreeze
from bench.train import Outcome, PhaseTrainer, snapshot

PHASE = Phase("phase", epochs=3, learning_rate=1e-2, unfreeze=Unfreeze("stages", 2))
BATCH = 8
IMAGES = 25  # the last batch holds one image; filled up, most of its parts are padding


def _train(backend: Backend, phase: Phase = PHASE) -> tuple[list[Array], Outcome]:
    """What a phase without dropout leaves behind."""
    network = Network(tiny.TINY, tiny.SIZE)
    pixels, labels = tiny.images(IMAGES, seed=1)
    network.unfreeze(phase)
    head = build_head(Head(dropout=0.0), network.features_shape, 2)
    initialise_head(head, 0)
    tail = network.tail("pixels", head, phase, fold=backend.gains_from_folding)
    trainer = PhaseTrainer(phase, 0, tail, backend)
    rows = Stored(pixels)
    trainer.compile(rows, BATCH)
    outcome = trainer.run(
        lambda epoch: [rows],
        labels,
        rows,
        labels,
        seed=0,
        batch_size=BATCH,
        learning_rate=phase.learning_rate,
        on_batch=lambda done, total: None,
        on_epoch=lambda number, epoch: None,
    )
    return snapshot([*network.base.weights, *head.weights]), outcome


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_weights_are_those_of_whole_batches(optimizer: str) -> None:
    # Adam divides by the size of the gradient: where that is rounding alone, so is the update.
    rate = {"adam": 1e-4, "sgd": 1e-1}[optimizer]
    phase = replace(PHASE, optimizer=optimizer, learning_rate=rate)  # type: ignore[arg-type]
    start = snapshot(Network(tiny.TINY, tiny.SIZE).base.weights)
    whole, outcome = _train(current(), phase)
    parted, same = _train(InParts(current(), 4, BATCH // 4), phase)
    for one, other in zip(whole, parted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    np.testing.assert_allclose(outcome.batch_losses, same.batch_losses, rtol=1e-5)
    assert [e.accuracy for e in outcome.epochs] == [e.accuracy for e in same.epochs]
    moved = max(np.abs(a - b).max() for a, b in zip(start, whole, strict=False))
    assert moved > 1e-4  # were nothing trained, all the above would hold as well
