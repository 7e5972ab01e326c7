"""EfficientNet B0 to B7, and EfficientNetV2. Both rescale pixels inside the network."""

from backbones import PIXELS, keras_networks

keras_networks(
    "efficientnet",
    PIXELS,
    "Tan and Le, EfficientNet: Rethinking Model Scaling, 2019, arXiv:1905.11946",
    ("EfficientNetB0", 224, 4_049_571, 238, 0.385, 77.1),
    ("EfficientNetB1", 240, 6_575_239, 340, 0.686, 79.1),
    ("EfficientNetB2", 260, 7_768_569, 340, 0.992, 80.1),
    ("EfficientNetB3", 300, 10_783_535, 385, 1.83, 81.6),
    ("EfficientNetB4", 380, 17_673_823, 475, 4.39, 82.9),
    ("EfficientNetB5", 456, 28_513_527, 577, 10.26, 83.6),
    ("EfficientNetB6", 528, 40_960_143, 667, 19.07, 84.0),
    ("EfficientNetB7", 600, 64_097_687, 814, 37.74, 84.3),
)

keras_networks(
    "efficientnet_v2",
    PIXELS,
    "Tan and Le, EfficientNetV2, 2021, arXiv:2104.00298",
    ("EfficientNetV2B0", 224, 5_919_312, 270, 0.717, 78.7),
    ("EfficientNetV2B1", 240, 6_931_124, 334, 1.20, 79.8),
    ("EfficientNetV2B2", 260, 8_769_374, 349, 1.70, 80.5),
    ("EfficientNetV2B3", 300, 12_930_622, 409, 3.01, 82.0),
    ("EfficientNetV2S", 384, 20_331_360, 513, 8.36, 83.9),
    ("EfficientNetV2M", 480, 53_150_388, 740, 24.58, 85.3),
    ("EfficientNetV2L", 480, 117_746_848, 1028, 56.08, 85.7),
)
