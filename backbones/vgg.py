"""VGG16: no batch normalization, and the largest cost of the six."""

from __future__ import annotations

from bench.registry import BACKBONES
from bench.types import Backbone, WeightsFile

BACKBONES.add(
    Backbone(
        name="vgg16",
        build="keras.applications:VGG16",
        preprocess="keras.applications.vgg16:preprocess_input",
        input_size=224,
        stages=("block1_pool", "block2_pool", "block3_pool", "block4_pool", "block5_pool"),
        weights=(
            WeightsFile(
                "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
                "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
                md5="6d6bbae143d832006294945121d1f1fc",
            ),
        ),
        parameters=14_714_688,
        layers=19,
        gmacs=15.35,
        preprocessed_range=(-123.68, 151.061),
        reference="Simonyan and Zisserman, Very Deep Convolutional Networks, 2014, arXiv:1409.1556",
    )
)
