"""Backbones, one file per family: declarations of pretrained networks, registered on import.

Importing these files must not import Keras; names in declarations are resolved when they are used.
Your own backbones need no change here: use `--plugin FILE`, or an entry point in the group
`backbone_bench.backbones`.
"""

from __future__ import annotations

from bench.registry import BACKBONES
from bench.types import Backbone

IN_ALL = ("EfficientNetB0", "InceptionV3", "MobileNetV2", "ResNet50", "VGG16")

# Ranges to which Keras' preprocessing functions map pixels of 0..255.
PIXELS = (0.0, 255.0)  # unchanged: the network rescales them
CENTRED = (-1.0, 1.0)
MEAN_REMOVED = (-123.68, 151.061)
STANDARDIZED = (-2.117904, 2.64)

Row = tuple[str, int, int, int, float, float | None]
"""Name in `keras.applications`, input size, parameters, layers, GMACs, and the top-1 accuracy on
ImageNet in percent, from Keras' table (https://keras.io/api/applications/) or docstrings."""


def keras_networks(
    module: str,
    preprocessed_range: tuple[float, float],
    reference: str,
    *rows: Row,
    minimum_size: int = 32,
) -> None:
    """Register networks of one module of `keras.applications`, with Keras' published weights.

    Names are Keras' own in lower case; ConvNeXt is named like its weight files, `convnext_tiny`.
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
