"""Backbones, one file a family: declarations of pretrained networks, registered on import.

Each file may be imported without Keras being imported; what a declaration names is resolved when it
is used. A backbone of your own needs nothing here: `--plugin FILE`, or an entry point in the group
`backbone_bench.backbones`.
"""

from __future__ import annotations

from bench.registry import BACKBONES
from bench.types import Backbone

IN_ALL = ("EfficientNetB0", "InceptionV3", "MobileNetV2", "ResNet50", "VGG16")

# What Keras' preprocessing makes of 0..255.
PIXELS = (0.0, 255.0)  # unchanged: the network rescales
CENTRED = (-1.0, 1.0)
MEAN_REMOVED = (-123.68, 151.061)
STANDARDIZED = (-2.117904, 2.64)

Row = tuple[str, int, int, int, float, float | None]
"""Name in `keras.applications`, input size, parameters, layers, GMACs, and the top-1 accuracy on
ImageNet that Keras' table (https://keras.io/api/applications/) or docstring gives, in percent."""


def keras_networks(
    module: str,
    preprocessed_range: tuple[float, float],
    reference: str,
    *rows: Row,
    minimum_size: int = 32,
) -> None:
    """Register networks of one module of `keras.applications`, with the weights Keras publishes.

    They are named as there, in lower case; ConvNeXt as its files of weights, `convnext_tiny`.
    """
    for name, size, parameters, layers, gmacs, top1 in rows:
        BACKBONES.add(
            Backbone(
                name=name.replace("ConvNeXt", "convnext_").lower(),
                build=f"keras.applications:{name}",
                preprocess=f"keras.applications.{module}:preprocess_input",
                input_size=size,
                weights="imagenet",
                minimum_size=minimum_size,
                parameters=parameters,
                layers=layers,
                gmacs=gmacs,
                preprocessed_range=preprocessed_range,
                in_all=name in IN_ALL,
                top1=top1,
                reference=reference,
            )
        )
