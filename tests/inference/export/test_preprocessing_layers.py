"""Preprocessing converted to a layer: the same values, or an error if that is impossible."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from tiny import SIZE, TINY

from bench.errors import BenchError
from bench.inference.export.keras_file import with_preprocessing_layers
from bench.models.network import Network, build_head
from bench.protocol import Head

pytestmark = pytest.mark.slow  # it loads a framework


def squared(x: Any) -> Any:
    return x * x / 255


def model(preprocess: Any) -> Any:
    network = Network(replace(TINY, preprocess=preprocess), SIZE)
    return network.classifier(build_head(Head(), network.features_shape, 3))


@pytest.mark.parametrize(
    "preprocess",
    [
        TINY.preprocess,  # a scale and an offset
        "keras.applications.resnet:preprocess_input",  # channels turned round, means taken off
        "keras.applications.efficientnet:preprocess_input",  # nothing at all
    ],
)
def test_layers_compute_the_same_values(preprocess: Any) -> None:
    whole = model(preprocess)
    plain = with_preprocessing_layers(whole)
    images = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3)).astype("uint8")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(plain(images)),
        keras.ops.convert_to_numpy(whole(images)),
        atol=1e-6,
    )
    assert "preprocess" not in {layer.name for layer in plain.layers}


def test_preprocessing_that_is_not_affine_is_refused() -> None:
    with pytest.raises(BenchError, match=r"\.h5 file cannot hold this backbone's preprocessing"):
        with_preprocessing_layers(model(squared))
