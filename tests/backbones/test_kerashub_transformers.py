"""Vision transformers of KerasHub: the same layers, in parts, and a map of the patches' tokens."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from user import in_process

from bench.errors import TrialError, WeightsError
from bench.registry import BACKBONES, load_plugins, resolve

load_plugins(packages=["backbones"])

# Stands in for KerasHub: a transformer of its kind, whose layers describe themselves as badly.
PACKAGE = """
import keras
from keras import layers, ops

class Embedding(layers.Layer):
    def __init__(self, side, patch, **kwargs):
        super().__init__(**kwargs)
        self.side, self.patch = side, patch
    def build(self, shape):
        self.project = layers.Conv2D(4, self.patch, strides=self.patch)
        self.project.build(shape)
        self.token = self.add_weight(shape=(1, 1, 4), initializer="normal")
        self.positions = self.add_weight(shape=(1, self.side ** 2 + 1, 4), initializer="normal")
    def call(self, images):
        x = ops.reshape(self.project(images), (-1, self.side ** 2, 4))
        token = ops.repeat(self.token, ops.shape(x)[0], axis=0)
        return ops.concatenate([token, x], axis=1) + self.positions
    def get_config(self):
        return super().get_config() | {"count": self.side ** 2}

class Encoder(layers.Layer):
    def __init__(self, depth, **kwargs):
        super().__init__(**kwargs)
        self.depth = depth
    def build(self, shape):
        self.encoder_layers = [layers.Dense(4, name=f"block_{i}") for i in range(self.depth)]
        self.layer_norm = layers.LayerNormalization()
        for layer in [*self.encoder_layers, self.layer_norm]:
            layer.build(shape)
        self.dropout = layers.Dropout(0.5, seed=0)
    def call(self, tokens):
        x = self.dropout(tokens)
        for layer in self.encoder_layers:
            x = layer(x)
        return self.layer_norm(x)

@keras.saving.register_keras_serializable(package="keras_hub")
class ViTBackbone(keras.Model):
    def __init__(self, image_shape, patch_size, num_layers, **options):
        image = keras.Input(image_shape)
        tokens = Embedding(image_shape[0] // patch_size, patch_size, name="embedding")(image)
        super().__init__(image, Encoder(num_layers, name="encoder")(tokens), **options)
"""
SETTINGS = {"image_shape": [32, 32, 3], "patch_size": 8, "num_layers": 5, "name": "tiny"}


@pytest.fixture(autouse=True)
def _hub(stand_in: Path) -> None:
    """Write the stand-in, and a preset in the working folder."""
    (stand_in / "__init__.py").write_text(PACKAGE)
    preset = Path("mine")
    preset.mkdir()
    config = {"registered_name": "keras_hub>ViTBackbone", "config": SETTINGS}
    (preset / "config.json").write_text(json.dumps(config))
    converter = {"image_size": [32, 32], "scale": 1 / 127.5, "offset": -1.0}
    (preset / "image_converter.json").write_text(json.dumps({"config": converter}))


def built(size: int) -> Any:
    return resolve(BACKBONES["kerashub:./mine"].build)(input_shape=(size, size, 3))


def saved() -> Any:
    """Write weights as KerasHub nests them, and return the network that has them."""
    import keras_hub

    network = keras_hub.ViTBackbone((32, 32, 3), 8, 5)
    network.save_weights("mine/model.weights.h5")
    return network


IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")


def test_a_transformer_is_declared_with_its_stages() -> None:
    backbone = BACKBONES["kerashub:./mine"]
    assert backbone.stages == ("blocks1", "blocks2", "blocks3", "output")
    assert (backbone.input_size, backbone.minimum_size, backbone.per_position) == (32, 16, True)


@pytest.mark.slow
def test_its_map_holds_the_tokens_of_the_patches() -> None:
    network, model = saved(), built(32)
    model.load_weights("mine/model.weights.h5")
    names = [operation.name for operation in model.operations[1:]]
    assert names == ["blocks1", "blocks2", "blocks3", "blocks4", "patches", "map"]
    # Five blocks in four parts, after embedding and dropout, before the norm.
    assert [len(model.get_layer(name).blocks) for name in names[:4]] == [3, 1, 1, 3]
    tokens = np.asarray(network(IMAGES, training=False))
    found = np.asarray(model(IMAGES, training=False))
    assert found.shape == (2, 4, 4, 4)
    assert np.abs(found.reshape(2, 16, 4) - tokens[:, 1:]).max() < 1e-6
    # Dropout is asleep in inference, and awake in training.
    assert not np.allclose(np.asarray(model(IMAGES, training=True)), found, atol=1e-3)


@pytest.mark.slow
def test_positions_are_fitted_to_the_size() -> None:
    network, model = saved(), built(64)
    model.load_weights("mine/model.weights.h5")
    there, here = (
        np.asarray(net.layers[1].positions if net is network else net.layers[1].blocks[0].positions)
        for net in (network, model)
    )
    assert (there.shape, here.shape) == ((1, 17, 4), (1, 65, 4))
    assert np.array_equal(here[:, 0], there[:, 0])  # of the class, which has no place
    grid, fine = there[0, 1:].reshape(4, 4, 4), here[0, 1:].reshape(8, 8, 4)
    assert np.allclose(fine.mean((0, 1)), grid.mean((0, 1)), atol=0.05)
    with pytest.raises(TrialError, match=r"patches of 8 px .* got 36 px; choose --input-size 32\."):
        built(36)


@pytest.mark.slow
def test_a_plane_of_positions_stays_one() -> None:
    from backbones.kerashub.transformers import resize_positions

    rows = [[9.0], [1.0], [1.0], [1.0], [1.0]]  # one token, and two by two positions
    resized = resize_positions(np.array(rows, "float32"), 3, (10, 1))
    assert np.allclose(np.asarray(resized)[:, 0], [9.0] + [1.0] * 9)


@pytest.mark.slow
def test_a_version_that_computes_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    saved()
    encoder = sys.modules["keras_hub"].Encoder
    monkeypatch.setattr(encoder, "call", lambda self, tokens: self.layer_norm(tokens))
    with pytest.raises(WeightsError, match=r"computes tiny in another way .* keras-hub 0\.32"):
        built(32).load_weights("mine/model.weights.h5")


@pytest.mark.slow
def test_it_passes_every_check() -> None:
    saved()
    ended = in_process(Path(), "check", "kerashub:./mine")
    assert "10 of 10 passed" in ended.stdout, ended.stdout + ended.stderr
