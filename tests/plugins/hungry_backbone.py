"""The tiny backbone with a layer that has memory for a few images at a time, and no more.

`HUNGRY_IMAGES` says for how many. It complains while it is traced, with the type and in the words
of TensorFlow's allocator.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.registry import BACKBONES

sys.path.append(str(Path(__file__).resolve().parent.parent))
import tiny


class ResourceExhaustedError(Exception):
    """Named as the framework's."""


def build(**arguments: Any) -> Any:
    import keras

    class Hungry(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            count = inputs.shape[0]
            if count is not None and count > int(os.environ["HUNGRY_IMAGES"]):
                raise ResourceExhaustedError(f"OOM when allocating tensor with shape[{count},32]")
            return inputs

    made = tiny.build(**arguments)
    return keras.Model(made.input, Hungry(name="hungry")(made.output))


BACKBONES.add(
    replace(tiny.TINY, name="hungry", build=build, stages=(*tiny.TINY.stages[:-1], "hungry"))
)
