"""DenseNet, in three depths."""

from backbones import STANDARDIZED, keras_networks

keras_networks(
    "densenet",
    STANDARDIZED,
    "Huang et al., Densely Connected Convolutional Networks, 2016, arXiv:1608.06993",
    ("DenseNet121", 224, 7_037_504, 427, 2.83, 75.0),
    ("DenseNet169", 224, 12_642_880, 595, 3.36, 76.2),
    ("DenseNet201", 224, 18_321_984, 707, 4.29, 77.3),
)
