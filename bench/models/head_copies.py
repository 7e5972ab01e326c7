"""Several copies of a head in one model: one step trains all of them on the same batch.

Copies share nothing but the batch and the dropout mask, so each learns what it would learn alone.
Each has weights of its own, which the optimizer updates at the rate of that copy. How they are
trained is in `bench/training/train.py`.
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
        # In place of each layer one for each copy; of dropout one, which draws for all.
        self.stack: list[Any] = [
            _copy(layer)
            if isinstance(layer, layers.Dropout)
            else [_copy(layer, number) for number in range(1, count + 1)]
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

    def of_each(self) -> list[list[Any]]:
        """Return the weights of each copy, in the order of the head's."""
        dense = [layer for layer in self.stack if isinstance(layer, list)]
        return [[w for layer in own for w in layer.weights] for own in zip(*dense, strict=True)]

    def load(self, head: Any) -> None:
        """Make every copy what `head` is now, with the random state of its dropout."""
        weights = snapshot(head.weights)
        for own in self.of_each():
            restore(own, weights)
        restore(random_states(self), snapshot(random_states(head)))


def _copy(layer: Any, number: int = 0) -> Any:
    # PyTorch clears the gradients of one of several layers of a name only.
    name = f"{layer.name}_copy_{number}"
    return type(layer).from_config(layer.get_config() | {"name": name})
