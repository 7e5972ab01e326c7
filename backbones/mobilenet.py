"""MobileNetV2 at width 1.0, with one file of weights for each size it was trained at."""

from __future__ import annotations

from bench.registry import BACKBONES
from bench.types import Backbone, WeightsFile

FOLDER = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"

BACKBONES.add(
    Backbone(
        name="mobilenetv2",
        build="keras.applications:MobileNetV2",
        preprocess="keras.applications.mobilenet_v2:preprocess_input",
        input_size=224,
        stages=(
            "expanded_conv_project_BN",
            "block_2_add",
            "block_5_add",
            "block_12_add",
            "out_relu",
        ),
        weights=tuple(
            WeightsFile(
                f"{FOLDER}mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{size}_no_top.h5",
                input_size=size,
                nbytes=9_406_464,  # Keras publishes no checksum of these
            )
            for size in (96, 128, 160, 192, 224)
        ),
        parameters=2_257_984,
        layers=154,
        gmacs=0.3,
        preprocessed_range=(-1.0, 1.0),
        reference="Sandler et al., Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381",
    )
)
