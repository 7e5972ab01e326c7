"""`weights="imagenet"` against Keras' own loader: the same files, and the same network for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import pytest
import tiny
from keras.src.utils import file_utils

from bench.errors import WeightsError
from bench.models.network import network_builder
from bench.models.published import application_name, files_for
from bench.models.weights import describe_availability
from bench.registry import BACKBONES, load_plugins
from bench.types import Backbone

pytestmark = pytest.mark.slow  # it loads a framework

load_plugins(packages=["backbones"])


def _imagenet(name: str) -> Backbone:
    return replace(tiny.TINY, build=f"keras.applications:{name}", weights="imagenet")


def _as_keras_loads(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[keras.Model, tuple[Any, ...]]:
    """Build a network with Keras' weights loader; return it and the file that Keras requests."""
    asked: list[tuple[Any, ...]] = []

    def record(name: str, address: str, file_hash: str | None = None, **options: Any) -> str:
        asked.append((name, address, file_hash))
        return "weights.h5"

    monkeypatch.setattr(file_utils, "get_file", record)
    monkeypatch.setattr(keras.Model, "load_weights", lambda model, path: None)
    shape = (size, size, 3)
    model = getattr(keras.applications, name)(
        input_shape=shape, include_top=False, weights="imagenet"
    )
    return model, asked[0]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("ConvNeXtTiny", 32),
        ("EfficientNetB0", 32),
        ("MobileNet", 160),
        ("MobileNetV2", 96),
        ("MobileNetV3Small", 224),
        ("NASNetMobile", 224),
        ("VGG19", 32),
    ],
)
def test_the_file_and_the_network_are_those_of_keras(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = _imagenet(name)
    theirs, asked = _as_keras_loads(name, size, monkeypatch)
    file = files_for(replace(backbone, input_size=224), size)[0]
    assert (file.filename, file.url, file.checksum) == asked
    ours = network_builder(backbone)(input_shape=(size, size, 3), include_top=False, weights=None)
    kinds, expected = ([type(layer) for layer in model.layers] for model in (ours, theirs))
    assert kinds == expected


def test_every_network_of_keras_is_declared_with_its_weights() -> None:
    names = {name for name in dir(keras.applications) if name[0].isupper()}
    declared = {application_name(b.build): b for b in BACKBONES if b.weights == "imagenet"}
    assert set(declared) == names
    for backbone in declared.values():
        files = files_for(backbone, backbone.input_size)
        assert all(file.checksum or file.input_size for file in files)


def test_a_builder_without_published_weights_is_an_error() -> None:
    wrong = replace(tiny.TINY, weights="imagenet")
    with pytest.raises(WeightsError) as raised:
        files_for(wrong, 32)
    assert str(raised.value).startswith(
        'tiny: weights="imagenet" needs build="keras.applications:NAME" of a network with '
        "published weights, got another builder; declare its files"
    )
    assert describe_availability(wrong, "auto", 32) == "missing"
    with pytest.raises(TypeError, match=r"weights must be 'imagenet', .*; got 'resnet.h5'"):
        replace(tiny.TINY, weights="resnet.h5")  # type: ignore[arg-type]


def test_application_name_recognises_functions_of_keras() -> None:
    assert application_name("keras.applications:VGG16") == "VGG16"
    assert application_name("keras.applications.vgg16:VGG16") == "VGG16"
    assert application_name(keras.applications.VGG16) == "VGG16"
    assert application_name("mine.applications:VGG16") == application_name(tiny.build) == ""
