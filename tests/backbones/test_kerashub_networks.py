"""Presets that KerasHub itself writes, where it is installed: a convolutional one, transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from user import in_process

from bench.models import weights
from bench.registry import BACKBONES, load_plugins, resolve

pytestmark = pytest.mark.slow

load_plugins(packages=["backbones"])

IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(BACKBONES, "_described", {})


@pytest.fixture
def hub() -> Any:
    return pytest.importorskip("keras_hub")


def test_the_networks_of_keras_hub(hub: Any, tmp_path: Path) -> None:
    network = hub.models.VGGBackbone([1, 1], [4, 8])
    network.save_to_preset("real")
    hub.layers.VGGImageConverter(image_size=(64, 64), scale=1 / 255).save_to_preset("real")
    ended = in_process(tmp_path, "check", "kerashub:./real")
    assert "10 of 10 passed" in ended.stdout
    backbone = BACKBONES["kerashub:./real"]
    found = weights.locate(backbone, "imagenet", 48)
    assert found is not None
    built = resolve(backbone.build)(input_shape=(32, 32, 3))
    assert weights.load(built, backbone, found).sha256 == weights.digest(network)


@pytest.mark.parametrize("family", ["ViT", "DeiT", "DINOV2"])
def test_those_of_keras_hub(family: str, hub: Any) -> None:
    facts: dict[str, Any] = {"patch_size": 8, "num_layers": 5, "num_heads": 2, "hidden_dim": 8}
    facts |= {"mlp_dim" if family == "ViT" else "intermediate_dim": 16}
    facts |= {"image_shape": (32, 32, 3)}
    if family == "DINOV2":
        facts |= {"position_embedding_shape": (64, 64, 3), "num_register_tokens": 2}
    network = getattr(hub.models, f"{family}Backbone")(**facts)
    network.save_to_preset("real")
    converter = getattr(hub.layers, f"{family}ImageConverter")
    converter(image_size=(32, 32), scale=1 / 127.5, offset=-1.0).save_to_preset("real")
    backbone = BACKBONES["kerashub:./real"]
    model = resolve(backbone.build)(input_shape=(32, 32, 3))
    model.load_weights("real/model.weights.h5")
    inputs = dict.fromkeys(network.input, IMAGES) if isinstance(network.input, dict) else IMAGES
    tokens = np.asarray(network(inputs, training=False))
    found = np.asarray(model(IMAGES, training=False))
    assert np.abs(found.reshape(2, 16, 8) - tokens[:, -16:]).max() < 1e-6
    again = resolve(backbone.build)(input_shape=(64, 64, 3))
    again.load_weights("real/model.weights.h5")
    assert again.output_shape == (None, 8, 8, 8)
    again.save("again.keras")
    import keras

    loaded = keras.models.load_model("again.keras")
    large = IMAGES.repeat(2, axis=1).repeat(2, axis=2)
    assert np.abs(np.asarray(loaded(large)) - np.asarray(again(large))).max() < 1e-6
