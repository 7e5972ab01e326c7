"""Gradient accumulation equals training on whole batches if no layer mixes images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny
from workbench import train_tail

from bench.models.backends.accumulating import accumulate_gradients
from bench.models.backends.base import current_backend
from bench.models.network import Network, snapshot
from bench.protocol import Phase, Unfreeze

pytestmark = pytest.mark.slow  # it loads a framework

PHASE = Phase("phase", epochs=3, learning_rate=1e-2, unfreeze=Unfreeze("stages", 2))
BATCH = 8
IMAGES = 25  # the last batch holds one image; filled up, most of its parts are padding


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_accumulated_training_gives_the_weights_of_whole_batches(optimizer: str) -> None:
    # Adam divides by the size of the gradient: where that is rounding alone, so is the update.
    rate = {"adam": 1e-4, "sgd": 1e-1}[optimizer]
    phase = replace(PHASE, optimizer=optimizer, learning_rate=rate)  # type: ignore[arg-type]
    start = snapshot(Network(tiny.TINY, tiny.SIZE).base.weights)
    whole = train_tail(current_backend(), phase, IMAGES, BATCH)
    parted = train_tail(
        accumulate_gradients(current_backend(), 4, BATCH // 4), phase, IMAGES, BATCH
    )
    for one, other in zip(whole.weights, parted.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    np.testing.assert_allclose(whole.batch_losses, parted.batch_losses, rtol=1e-5)
    assert [e.accuracy for e in whole.tracker.epochs] == [e.accuracy for e in parted.tracker.epochs]
    moved = max(np.abs(a - b).max() for a, b in zip(start, whole.weights, strict=False))
    assert moved > 1e-4  # were nothing trained, all the above would hold as well
