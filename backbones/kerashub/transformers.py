"""KerasHub's vision transformers as networks that can be cut and pooled like convolutional ones.

KerasHub puts all blocks into one layer, which returns tokens. Here the same blocks are called in a
few parts, and the patch tokens become a feature map; class and register tokens are left out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import isqrt
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from bench.errors import WeightsError

TOLERANCE = 1e-3  # difference from KerasHub's output, as a fraction of its greatest value


@keras.saving.register_keras_serializable("backbone_bench")
class Blocks(layers.Layer):  # type: ignore[misc]
    """A layer that calls layers of KerasHub one after another."""

    def __init__(self, blocks: list[Any], **options: Any) -> None:
        super().__init__(**options)
        self.blocks = blocks

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the inner layers if they come from a file; those of a network are built already."""
        if not all(block.built for block in self.blocks):
            self.call(keras.KerasTensor(input_shape, self.compute_dtype))

    def call(self, inputs: Any) -> Any:
        """Return the output of the last inner layer."""
        for block in self.blocks:
            outputs = block(inputs)
            inputs = outputs[0] if isinstance(outputs, list | tuple) else outputs
        return inputs

    def get_config(self) -> dict[str, Any]:
        """Return the configuration for `from_config`."""
        return {**super().get_config(), "blocks": [_layer_config(block) for block in self.blocks]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Blocks:
        """Create the layer and its inner layers from the result of `get_config`."""
        blocks = [keras.saving.deserialize_keras_object(one) for one in config.pop("blocks")]
        return cls(blocks, **config)


def split_into_parts(
    network: Any, names: Sequence[str], patch: int, trained: Callable[[], Any] | None
) -> Any:
    """Return a model of the network's layers in named parts, which ends in a feature map.

    `trained` builds the network for the input size of its weights, if that is another.
    """
    before, blocks, after = _parts(network)
    ends = [len(blocks) * number // len(names) for number in range(len(names) + 1)]
    parts = [blocks[start:end] for start, end in pairwise(ends)]
    parts[0], parts[-1] = before + parts[0], parts[-1] + after
    x = image = keras.Input(network.inputs[0].shape[1:])
    for name, part in zip(names, parts, strict=True):
        x = Blocks(part, name=name)(x)
    _, tokens, width = x.shape
    side = image.shape[1] // patch
    x = layers.Cropping1D((tokens - side**2, 0), name="patches")(x)
    model = keras.Model(image, layers.Reshape((side, side, width), name="map")(x))
    # A weights file has KerasHub's nesting of the layers.
    model.load_weights = partial(_load, model, network, side, trained)
    return model


def resize_positions(positions: Any, side: int, shape: tuple[int, ...]) -> Any:
    """Return position embeddings resized to a square grid of `side` patches, in the given shape.

    Embeddings of other tokens come first and stay as they are.
    """
    width, others = shape[-1], shape[-2] - side**2
    rows = ops.reshape(positions, (-1, width))
    before = isqrt(rows.shape[0] - others)
    grid = ops.reshape(rows[others:], (1, before, before, width))
    grid = ops.image.resize(grid, (side, side), interpolation="bicubic", antialias=True)
    return ops.reshape(ops.concatenate([rows[:others], ops.reshape(grid, (-1, width))]), shape)


def _parts(network: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the layers before the blocks, the blocks, and the layers after them."""
    _, embedding, encoder, *after = network.layers
    dropout, norm = (getattr(encoder, name, None) for name in ("dropout", "layer_norm"))
    # DINOv2's encoder has no `layer_norm`, and keeps its blocks in `layers`.
    blocks = encoder.layers if norm is None else encoder.encoder_layers
    before = [embedding] if dropout is None else [embedding, dropout]
    return before, list(blocks), after if norm is None else [norm, *after]


def _load(
    model: Any, network: Any, side: int, trained: Callable[[], Any] | None, path: Path
) -> None:
    """Load weights, resize position embeddings to the input size, and check the features.

    Raises `WeightsError` if they differ from KerasHub's, whose versions may call layers
    differently.
    """
    source = network if trained is None else trained()
    source.load_weights(path)
    if source is not network:
        for weight, value in zip(network.weights, source.weights, strict=True):
            same = weight.shape == value.shape
            weight.assign(value if same else resize_positions(value, side, weight.shape))
    images = np.random.default_rng(0).uniform(-1, 1, (1, *model.input_shape[1:]))
    whole = keras.Model(network.inputs[0], network.outputs[0])
    found, tokens = (_features(one, images.astype("float32")) for one in (model, whole))
    expected = tokens[:, -(side**2) :].reshape(found.shape)
    if not np.allclose(found, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max()):
        raise WeightsError(
            f"the installed keras_hub computes {network.name} in another way than expected here, "
            f"so its features would be wrong; install keras-hub 0.32."
        )


def _features(model: Any, images: Any) -> Any:
    return ops.convert_to_numpy(ops.cast(model(images, training=False), "float32"))


def _layer_config(block: Any) -> Any:
    """Return a layer's configuration with exactly the arguments of its constructor.

    KerasHub's own configurations omit some arguments and add derived values, and cannot be loaded.
    """
    described = keras.saving.serialize_keras_object(block)
    if not type(block).__module__.startswith("keras."):
        config, taken = described["config"], inspect.signature(type(block)).parameters
        kept = {key: config[key] for key in ("name", "trainable", "dtype")}
        own = {key: config.get(key, getattr(block, key, None)) for key in taken if key != "kwargs"}
        described["config"] = kept | own
    return described
