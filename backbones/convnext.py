"""ConvNeXt, Tiny to XLarge."""

from backbones import PIXELS, keras_networks

keras_networks(
    "convnext",
    PIXELS,
    "Liu et al., A ConvNet for the 2020s, 2022, arXiv:2201.03545",
    ("ConvNeXtTiny", 224, 27_820_128, 133, 4.46, None),
    ("ConvNeXtSmall", 224, 49_454_688, 259, 8.68, None),
    ("ConvNeXtBase", 224, 87_566_464, 259, 15.35, None),
    ("ConvNeXtLarge", 224, 196_230_336, 259, 34.36, None),
    ("ConvNeXtXLarge", 224, 348_147_968, 259, 60.92, None),
)
