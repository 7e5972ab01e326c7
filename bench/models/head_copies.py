"""Several copies of a head in one model: one step trains all of them on the same batch.

The copies share only the batch and the dropout mask, so each learns the same as if trained alone.
Each has its own weights, which the optimizer updates at that copy's learning rate. Training them is
in `bench/training/phase_trainer.py`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from bench.models.network import random_states, restore, snapshot


class HeadCopies(keras.Model):  # type: ignore[misc]
    """`count` copies of a built head: features in, logits of shape (images, copies, units) out."""

    trains_batchnorm = False

    def __init__(self, head: Any, count: int) -> None:
        super().__init__()
        # Per layer of the head: a list of one layer per copy, or one Dropout that all copies share.
        self.stack: list[Any] = [
            _clone_layer(layer)
            if isinstance(layer, layers.Dropout)
            else [_clone_layer(layer, number) for number in range(1, count + 1)]
            for layer in head.layers
        ]
        self.count = count
        self(keras.Input(head.input_shape[1:]))

    def call(self, inputs: Any, training: bool = False) -> Any:
        values = [inputs] * self.count
        for layer in self.stack:
            if isinstance(layer, list):
                values = [dense(value) for dense, value in zip(layer, values, strict=True)]
            else:
                mask = layer(ops.ones_like(values[0]), training=training)
                values = [ops.cast(value, mask.dtype) * mask for value in values]
        return ops.stack(values, axis=1)

    def weights_per_copy(self) -> list[list[Any]]:
        """Return the weights of each copy, in the order of the head's weights."""
        dense = [layer for layer in self.stack if isinstance(layer, list)]
        return [[w for layer in own for w in layer.weights] for own in zip(*dense, strict=True)]

    def copy_from(self, head: Any) -> None:
        """Set the weights and the dropout state of every copy to those of `head`."""
        weights = snapshot(head.weights)
        for own in self.weights_per_copy():
            restore(own, weights)
        restore(random_states(self), snapshot(random_states(head)))


def _clone_layer(layer: Any, number: int = 0) -> Any:
    # Names must differ: of several layers with one name, PyTorch clears only one layer's gradients.
    name = f"{layer.name}_copy_{number}"
    return type(layer).from_config(layer.get_config() | {"name": name})
