"""MobileNet in its three versions, at width 1.0."""

from backbones import CENTRED, PIXELS, keras_networks

keras_networks(
    "mobilenet",
    CENTRED,
    "Howard et al., MobileNets, 2017, arXiv:1704.04861",
    ("MobileNet", 224, 3_228_864, 86, 0.568, 70.4),
)

keras_networks(
    "mobilenet_v2",
    CENTRED,
    "Sandler et al., Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381",
    ("MobileNetV2", 224, 2_257_984, 154, 0.299, 71.3),
)

keras_networks(
    "mobilenet_v3",
    PIXELS,
    "Howard et al., Searching for MobileNetV3, 2019, arXiv:1905.02244",
    ("MobileNetV3Small", 224, 939_120, 157, 0.055, 68.1),
    ("MobileNetV3Large", 224, 2_996_352, 187, 0.214, 75.6),
)
