"""InceptionV3 and its descendants Inception-ResNet-V2 and Xception."""

from backbones import CENTRED, keras_networks

keras_networks(
    "inception_v3",
    CENTRED,
    "Szegedy et al., Rethinking the Inception Architecture, 2015, arXiv:1512.00567",
    ("InceptionV3", 299, 21_802_784, 311, 5.71, 77.9),
    minimum_size=75,
)

keras_networks(
    "inception_resnet_v2",
    CENTRED,
    "Szegedy et al., Inception-v4, Inception-ResNet, 2016, arXiv:1602.07261",
    ("InceptionResNetV2", 299, 54_336_736, 780, 13.15, 80.3),
    minimum_size=75,
)

keras_networks(
    "xception",
    CENTRED,
    "Chollet, Xception, 2016, arXiv:1610.02357",
    ("Xception", 299, 20_861_480, 132, 8.36, 79.0),
    minimum_size=71,
)
