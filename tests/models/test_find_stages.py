"""Stages found in the graph: where one would cut by hand, and the same in every build."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers

from bench.models.cuts import find_stages, operation_labels

pytestmark = pytest.mark.slow  # it loads a framework


def _found(model: Any) -> list[str]:
    called = operation_labels(model)
    return [called[end] for end in find_stages(model)]


def test_a_stage_ends_with_its_resolution() -> None:
    x = image = keras.Input((64, 64, 3))
    x = layers.Conv2D(8, 3, padding="same", name="a1")(x)
    x = layers.ReLU(name="a2")(x)
    x = layers.MaxPooling2D(name="a3")(x)  # no weights, and a smaller tensor: still the first part
    x = layers.Conv2D(8, 3, name="b1")(x)  # without padding: 30, which is no new resolution
    y = layers.Conv2D(8, 1, name="b2")(x)
    x = layers.Add(name="b3")([x, y])
    x = layers.Conv2D(48, 1, name="c1")(x)  # expands for the layer that follows
    x = layers.DepthwiseConv2D(3, 2, padding="same", name="c2")(x)
    x = layers.Conv2D(12, 1, name="c3")(x)
    x = layers.ReLU(name="c4")(x)
    assert _found(keras.Model(image, x)) == ["a3", "b3", "c4"]


def test_a_network_of_one_resolution_has_one_stage() -> None:
    image = keras.Input((8, 8, 3))
    for _ in range(2):  # Keras numbers the layers of the second build differently
        x = layers.Conv2D(4, 1)(layers.Conv2D(4, 1)(image))
        assert _found(keras.Model(image, x)) == ["conv2d@2"]
    assert _found(keras.Model(image, layers.Rescaling(2.0)(image))) == ["rescaling@1"]


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("VGG16", 32, "block1_pool block2_pool block3_pool block4_pool block5_pool"),
        (
            "MobileNetV2",
            32,
            "expanded_conv_project_BN block_2_add block_5_add block_12_add out_relu",
        ),
        (
            "ResNet50",  # the stem, then the four stages
            64,
            "pool1_pool conv2_block3_out conv3_block4_out conv4_block6_out conv5_block3_out",
        ),
        (
            "EfficientNetB0",
            64,
            "block1a_project_bn block2b_add block3b_add block5c_add top_activation",
        ),
        ("DenseNet121", 64, "pool1 pool2_pool pool3_pool pool4_pool relu"),
        (
            "MobileNetV3Small",
            64,
            "activation@4 expanded_conv_project_bn expanded_conv_2_add expanded_conv_7_add "
            "activation@174",
        ),
        # Each cell of NASNet takes the outputs of the two before: only the stem can be cut off.
        ("NASNetMobile", 64, "stem_bn1 activation@768"),
        ("ConvNeXtTiny", 32, "add@26 add@51 add@124 layer_normalization@150"),
    ],
)
def test_stages_end_where_expected_in_real_networks(name: str, size: int, expected: str) -> None:
    model = getattr(keras.applications, name)(
        input_shape=(size, size, 3), include_top=False, weights=None
    )
    assert _found(model) == expected.split()
