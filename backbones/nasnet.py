"""NASNet. Each cell takes the outputs of the two before it, so only the stem can be cut off."""

from backbones import CENTRED, keras_networks

keras_networks(
    "nasnet",
    CENTRED,
    "Zoph et al., Learning Transferable Architectures, 2017, arXiv:1707.07012",
    ("NASNetMobile", 224, 4_269_716, 769, 0.563, 74.4),
    ("NASNetLarge", 331, 84_916_818, 1039, 23.78, 82.5),
)
