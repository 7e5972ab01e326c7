"""TensorFlow's training step in two: gradients that are added up, and their application.

Two functions, so that the activations of one part are gone before the next begins; inside one
graph its operations may be run together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bench.models.backends import tensorflow_adam, tensorflow_gradients
from bench.models.backends.base import Array, LossFunction, correct
from bench.models.backends.tensorflow_backend import for_any_size, graph


class GradientStep:
    """See `bench.models.backends.base.GradientStep`; the sums are variables of their own."""

    any_size = True

    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        variables = model.trainable_variables
        optimizer.build(variables)
        update = tensorflow_adam.update_of(optimizer)
        sums = [tf.Variable(tf.zeros(v.shape, v.dtype), trainable=False) for v in variables]

        @graph
        def add(x: Any, y: Any, weight: Any, share: Any) -> Any:
            with tensorflow_gradients.taken_as_products():
                logits = model(x, training=True)
            value = loss(y, logits, weight) * share
            gradients = tensorflow_gradients.gradients(optimizer.scale_loss(value), variables)
            for total, gradient in zip(sums, gradients, strict=True):
                total.assign_add(gradient)
            return tf.stack([value, correct(y, logits, weight)])

        @graph
        def apply() -> None:
            gradients = [total.read_value() for total in sums]
            update(gradients, variables)
            for total in sums:
                total.assign(tf.zeros_like(total))

        self._add, self._apply = add, apply

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        # Called as such, they need not be looked up by all their arguments in every part.
        self._add = for_any_size(self._add, self.put(x, y, weight, 1.0))
        self._apply = self._apply.get_concrete_function()

    def put(self, x: Array, y: Array, weight: Array, share: float) -> Any:
        return tuple(tf.convert_to_tensor(item) for item in (x, y, weight, np.float32(share)))

    def add(self, part: Any) -> Any:
        return self._add(*part)

    def apply(self) -> None:
        self._apply()

    def fetch(self, results: Sequence[Any]) -> Array:
        return np.asarray(tf.stack(list(results)))

    def sync(self) -> None:
        """The Keras variables are the trained ones already."""
