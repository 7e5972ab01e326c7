"""The mistake that notebooks copy: pixels divided by 255, whatever the weights expect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.registry import BACKBONES


def divided(images: Any) -> Any:
    return images / 255.0


for name in ("mobilenetv2", "efficientnet_lite0"):
    BACKBONES.add(
        replace(
            BACKBONES[name],
            name=f"{name}_divided",
            preprocess=divided,
            preprocessed_range=(0.0, 1.0),
            in_all=False,
        )
    )
