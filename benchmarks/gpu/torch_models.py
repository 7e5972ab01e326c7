"""The same architectures in PyTorch: from timm if it is installed, else from torchvision.

Each ends in average pooling of its last feature map and one dense layer, as in the harness.
"""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

TIMM = {
    "resnet50": "resnet50",
    "mobilenetv2": "mobilenetv2_100",
    "vgg16": "vgg16",
    "inceptionv3": "inception_v3",
    "efficientnetb0": "efficientnet_b0",
    "efficientnet_lite0": "efficientnet_lite0",
    "efficientnet_lite1": "efficientnet_lite1",
    "efficientnet_lite2": "efficientnet_lite2",
}
TORCHVISION = {
    "resnet50": "resnet50",
    "mobilenetv2": "mobilenet_v2",
    "vgg16": "vgg16",
    "inceptionv3": "inception_v3",
    "efficientnetb0": "efficientnet_b0",
}


class MissingError(Exception):
    """Raised if an architecture is not available, with the reason."""


def build(backbone: str, classes: int, size: int) -> tuple[Any, str]:
    """Return a model with random weights, and the library that it comes from."""
    why = []
    for library, names, make in (
        ("timm", TIMM, _from_timm),
        ("torchvision", TORCHVISION, _from_torchvision),
    ):
        try:
            module = importlib.import_module(library)
        except Exception as error:  # a library built for another PyTorch raises many types
            why.append(f"{library} cannot be imported ({type(error).__name__}: {error})")
            continue
        if backbone not in names:
            why.append(f"{library} has no {backbone}")
            continue
        features = make(module, names[backbone])
        if backbone == "resnet50":
            _first_version(features)
        return _with_head(features, classes, size), f"{library} {module.__version__}"
    raise MissingError("; ".join(why))


def _from_timm(timm: Any, name: str) -> Any:
    model = timm.create_model(name, pretrained=False, num_classes=0)
    return _averaged(model.features) if name == "vgg16" else model


def _from_torchvision(torchvision: Any, name: str) -> Any:
    options = {"aux_logits": False, "init_weights": False} if name == "inception_v3" else {}
    model = torchvision.models.get_model(name, weights=None, **options)
    if name == "vgg16":
        return _averaged(model.features)
    if hasattr(model, "fc"):
        model.fc = nn.Identity()
    else:
        model.classifier = nn.Identity()
    return model


def _averaged(features: Any) -> Any:
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _with_head(features: Any, classes: int, size: int) -> Any:
    import torch

    with torch.no_grad():
        width = features.eval()(torch.zeros(1, 3, size, size)).shape[1]
    return nn.Sequential(features, nn.Linear(width, classes))


def _first_version(resnet: Any) -> None:
    """Move the strides of ResNet to the first convolution of a block, as first published and in
    Keras; both libraries have them in the second, which computes 6% more."""
    for block in resnet.modules():
        if type(block).__name__ == "Bottleneck" and block.conv2.stride == (2, 2):
            block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)


def gmacs(model: Any, size: int) -> float:
    """Return the multiply-accumulates (1e9) of convolutions and dense layers for one image."""
    import torch

    total = 0.0

    def count(module: Any, _: Any, output: Any) -> None:
        nonlocal total
        positions = output[0, 0].numel() if output.ndim == 4 else 1
        total += positions * module.weight.numel()

    hooks = [
        module.register_forward_hook(count)
        for module in model.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return total / 1e9
