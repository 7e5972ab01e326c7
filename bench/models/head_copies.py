"""Several copies of a head in one model: one step trains all of them on the same batch.

Copies share nothing but the batch and the dropout mask, so each learns what it would learn alone.
They are the last dimension of every weight: the first layer is one matrix product for all, and a
vector of learning rates fits each weight. How they are trained is in `bench/training/train.py`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from bench.models.network import random_states, restore, snapshot


class HeadCopies(keras.Model):  # type: ignore[misc]
    """`count` copies of a built head: features in, logits of shape (images, copies, units) out."""

    trains_batchnorm = False

    def __init__(self, head: Any, count: int) -> None:
        super().__init__()
        self.stack: list[Any] = []
        for layer in head.layers:
            if isinstance(layer, layers.Dropout):
                shared = (None, None, 1) if self.stack else None  # behind a layer of copies
                self.stack.append(layers.Dropout(layer.rate, noise_shape=shared, seed=0))
            else:
                self.stack.append(DenseCopies(layer, count))
        self(keras.Input(head.input_shape[1:]))

    def call(self, inputs: Any, training: bool = False) -> Any:
        value = inputs
        for layer in self.stack:
            value = layer(value, training=training)
        return ops.transpose(value, (0, 2, 1))

    def load(self, head: Any) -> None:
        """Make every copy what `head` is now, with the random state of its dropout."""
        for mine, value in zip(self.weights, snapshot(head.weights), strict=True):
            mine.assign(np.broadcast_to(value[..., None], mine.shape))
        restore(random_states(self), snapshot(random_states(head)))


class DenseCopies(layers.Layer):  # type: ignore[misc]
    """A dense layer for each copy."""

    def __init__(self, dense: Any, count: int) -> None:
        super().__init__(dtype=dense.dtype_policy)
        inputs, units = dense.kernel.shape
        self.kernel = self.add_weight(shape=(inputs, units, count), name="kernel")
        self.bias = self.add_weight(shape=(units, count), name="bias")
        self.activation = dense.activation

    def call(self, inputs: Any, training: bool = False) -> Any:
        features, units, count = self.kernel.shape
        if len(inputs.shape) == 2:  # the same for all copies
            flat = ops.matmul(inputs, ops.reshape(self.kernel, (features, units * count)))
            value = ops.reshape(flat, (-1, units, count))
        else:
            value = ops.einsum("bfc,fuc->buc", inputs, self.kernel)
        return self.activation(value + self.bias)
