"""The same weights and the same images give the same probabilities on another Keras backend.

`make test-jax` lets TensorFlow answer first (`answers.py`) and names the folder of its answers in
the environment variable ANSWERS.
"""

from __future__ import annotations

import os
from pathlib import Path

import answers
import numpy as np
import pytest

FOLDER = os.environ.get("ANSWERS", "")
TOLERANCE = 1e-4
LEAST_SPREAD = 10 * TOLERANCE  # between images: any nearer, and all networks agree

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="no ANSWERS of another backend: make test-jax"),
]


@pytest.mark.parametrize("name", sorted(answers.all_backbones()))
def test_the_same_weights_give_the_same_probabilities(name: str) -> None:
    network = answers.network_of(answers.all_backbones()[name])
    with np.load(Path(FOLDER) / f"{name}.npz") as kept:
        expected = kept["probabilities"]
        np.testing.assert_array_equal(answers.images_for(network), kept["images"])
        for place, weight in enumerate(network.base.weights):
            weight.assign(kept[f"weight_{place}"])

    found = answers.probabilities(network, answers.images_for(network))

    assert np.ptp(expected[:, 0]) > LEAST_SPREAD
    assert np.abs(found - expected).max() < TOLERANCE
