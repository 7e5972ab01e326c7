"""VGG, without batch normalization."""

from backbones import MEAN_REMOVED, keras_networks

keras_networks(
    "vgg16",
    MEAN_REMOVED,
    "Simonyan and Zisserman, Very Deep Convolutional Networks, 2014, arXiv:1409.1556",
    ("VGG16", 224, 14_714_688, 19, 15.35, 71.3),
)

keras_networks(
    "vgg19",
    MEAN_REMOVED,
    "Simonyan and Zisserman, Very Deep Convolutional Networks, 2014, arXiv:1409.1556",
    ("VGG19", 224, 20_024_384, 22, 19.51, 71.3),
)
