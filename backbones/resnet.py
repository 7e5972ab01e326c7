"""ResNet, and ResNetV2 with normalization and activation before each convolution."""

from backbones import CENTRED, MEAN_REMOVED, keras_networks

keras_networks(
    "resnet",
    MEAN_REMOVED,
    "He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385",
    ("ResNet50", 224, 23_587_712, 175, 3.86, 74.9),
    ("ResNet101", 224, 42_658_176, 345, 7.57, 76.4),
    ("ResNet152", 224, 58_370_944, 515, 11.28, 76.6),
)

keras_networks(
    "resnet_v2",
    CENTRED,
    "He et al., Identity Mappings in Deep Residual Networks, 2016, arXiv:1603.05027",
    ("ResNet50V2", 224, 23_564_800, 190, 3.48, 76.0),
    ("ResNet101V2", 224, 42_626_560, 377, 7.19, 77.2),
    ("ResNet152V2", 224, 58_331_648, 564, 10.90, 78.0),
)
