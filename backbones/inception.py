"""InceptionV3. Only the ends of its modules have names of their own; Keras numbers the rest."""

from __future__ import annotations

from bench.registry import BACKBONES
from bench.types import Backbone, WeightsFile

BACKBONES.add(
    Backbone(
        name="inceptionv3",
        build="keras.applications:InceptionV3",
        preprocess="keras.applications.inception_v3:preprocess_input",
        input_size=299,
        stages=("mixed2", "mixed7", "mixed10"),
        weights=(
            WeightsFile(
                "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
                "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
                md5="bcbd6486424b2319ff4ef7d526e38f63",
            ),
        ),
        minimum_size=75,
        parameters=21_802_784,
        layers=311,
        gmacs=5.71,
        preprocessed_range=(-1.0, 1.0),
        reference="Szegedy et al., Rethinking the Inception Architecture, 2015, arXiv:1512.00567",
    )
)
