"""ResNet50, with the stride in the first 1x1 convolution of a stage, as Keras publishes it."""

from __future__ import annotations

from bench.registry import BACKBONES
from bench.types import Backbone, WeightsFile

BACKBONES.add(
    Backbone(
        name="resnet50",
        build="keras.applications:ResNet50",
        preprocess="keras.applications.resnet:preprocess_input",
        input_size=224,
        stages=("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
        weights=(
            WeightsFile(
                "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
                "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
                md5="4d473c1dd8becc155b73f8504c6f6626",
            ),
        ),
        parameters=23_587_712,
        layers=175,
        gmacs=3.86,
        preprocessed_range=(-123.68, 151.061),
        reference="He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385",
    )
)
