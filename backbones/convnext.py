"""ConvNeXt, Tiny to XLarge."""

from backbones import PIXELS, keras_networks

keras_networks(
    "convnext",
    PIXELS,
    "Liu et al., A ConvNet for the 2020s, 2022, arXiv:2201.03545",
    ("ConvNeXtTiny", 224, 27_820_128, 133, 4.46, 81.3),
    ("ConvNeXtSmall", 224, 49_454_688, 259, 8.68, 82.3),
    ("ConvNeXtBase", 224, 87_566_464, 259, 15.35, 85.3),
    ("ConvNeXtLarge", 224, 196_230_336, 259, 34.36, 86.3),
    ("ConvNeXtXLarge", 224, 348_147_968, 259, 60.92, 86.7),
)
