"""A backbone whose activations are large, in a process whose memory is limited.

`LIMITED_MB` says by how many megabytes a worker's memory may grow once its framework is loaded; the
kernel refuses more.
"""

import os
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.registry import BACKBONES

sys.path.append(str(Path(__file__).resolve().parent.parent))
import tiny

CHANNELS, LAYERS = 64, 6


def build(
    input_shape: tuple[int, int, int], include_top: bool = False, weights: None = None
) -> Any:
    import keras

    if limit := os.environ.get("LIMITED_MB"):
        taken = _kilobytes("VmData") * 1024 + int(limit) * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (taken, taken))
    image = x = keras.Input(input_shape)
    for number in range(LAYERS):
        x = keras.layers.Conv2D(CHANNELS, 1, name=f"conv_{number}")(x)
        x = keras.layers.ReLU(name=f"relu_{number}")(x)
    return keras.Model(image, x)


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


BACKBONES.add(
    replace(tiny.TINY, name="limited", build=build, stages=("relu_0", f"relu_{LAYERS - 1}"))
)
