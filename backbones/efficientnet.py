"""EfficientNet B0 to B7, generated from one table: they differ in size and depth only.

Pixels are rescaled inside the network, so the preprocessing of this family is the identity.
"""

from __future__ import annotations

from functools import partial
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

from bench.registry import BACKBONES
from bench.types import Backbone, WeightsFile

if TYPE_CHECKING:
    import keras

BLOCKS = {1: 1, 2: 2, 3: 2, 5: 3}  # repeats in B0, of the groups that end a resolution
VARIANTS = (  # input size, depth, parameters, layers, gmacs, md5 of the weights
    (224, 1.0, 4_049_571, 238, 0.385, "50bc09e76180e00e4465e1a485ddc09d"),
    (240, 1.1, 6_575_239, 340, 0.686, "74c4e6b3e1f6a1eea24c589628592432"),
    (260, 1.2, 7_768_569, 340, 0.992, "111f8e2ac8aa800a7a99e3239f7bfb39"),
    (300, 1.4, 10_783_535, 385, 1.83, "af6d107764bb5b1abb91932881670226"),
    (380, 1.8, 17_673_823, 475, 4.39, "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    (456, 2.2, 28_513_527, 577, 10.26, "38879255a25d3c92d5e44e04ae6cec6f"),
    (528, 2.6, 40_960_143, 667, 19.07, "9ecce42647a20130c1f39a5d4cb75743"),
    (600, 3.1, 64_097_687, 814, 37.74, "cbcfe4450ddf6f3ad90b1b398090fe4a"),
)


def build(variant: str, *, input_shape: tuple[int, int, int], **options: Any) -> keras.Model:
    """Build Keras' network with the division by sqrt(stddev) that the published weights need.

    Keras adds that layer only when it loads the weights itself; without it the pixels would
    reach the first convolution at half the scale that it was trained with, and nothing would fail.
    """
    import keras

    rescale = keras.layers.Rescaling([1 / sqrt(s) for s in (0.229, 0.224, 0.225)], name="stddev")

    def call(layer: keras.Layer, *inputs: Any, **arguments: Any) -> Any:
        outputs = layer(*inputs, **arguments)
        return rescale(outputs) if isinstance(layer, keras.layers.Normalization) else outputs

    network = getattr(keras.applications, variant)(input_shape=input_shape, **options)
    pixels = keras.Input(input_shape)
    return keras.models.clone_model(network, input_tensors=pixels, call_function=call)


def stages(depth: float) -> tuple[str, ...]:
    """Return the ends of the four resolutions before the last, and the network's own end."""
    ends = []
    for group in (1, 2, 3, 5):
        repeats = ceil(depth * BLOCKS[group])
        # A group of one block has no residual addition to end with.
        ends.append(f"block{group}{chr(96 + repeats)}_" + ("add" if repeats > 1 else "project_bn"))
    return (*ends, "top_activation")


for number, (size, depth, parameters, layers, gmacs, md5) in enumerate(VARIANTS):
    BACKBONES.add(
        Backbone(
            name=f"efficientnetb{number}",
            build=partial(build, f"EfficientNetB{number}"),
            preprocess="keras.applications.efficientnet:preprocess_input",
            input_size=size,
            stages=stages(depth),
            weights=(
                WeightsFile(
                    "https://storage.googleapis.com/keras-applications/"
                    f"efficientnetb{number}_notop.h5",
                    md5=md5,
                ),
            ),
            parameters=parameters,
            layers=layers,
            gmacs=gmacs,
            preprocessed_range=(0.0, 255.0),
            in_all=number == 0,
            reference="Tan and Le, EfficientNet: Rethinking Model Scaling, 2019, arXiv:1905.11946",
        )
    )
