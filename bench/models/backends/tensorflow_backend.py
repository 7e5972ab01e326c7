"""The TensorFlow backend. Of the core, only this file and its two helpers import TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bench.models.backends import tensorflow_adam, tensorflow_gradients
from bench.models.backends.base import (
    Array,
    DeviceInfo,
    Forward,
    GradientStep,
    LossFunction,
    correct,
    host,
)

# XLA is up to 14 times slower for depthwise convolutions on CPU: always off here, and XLA is a
# runtime of its own. Autograph has nothing to rewrite in Keras layers.
graph: Callable[[Callable[..., Any]], Any] = tf.function(
    jit_compile=False, reduce_retracing=True, autograph=False
)


class _Backend:
    gains_from_folding = True

    def forward(self, model: Any) -> Forward:
        return _Forward(model)

    def train_step(self, model: Any, optimizer: Any, loss: LossFunction) -> _Step:
        return _Step(model, optimizer, loss)

    def gradient_step(self, model: Any, optimizer: Any, loss: LossFunction) -> GradientStep:
        from bench.models.backends import tensorflow_accumulation

        return tensorflow_accumulation.GradientStep(model, optimizer, loss)

    def device(self) -> DeviceInfo:
        gpus = tf.config.list_physical_devices("GPU")
        name = ""
        if gpus:
            name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "")
        framework = f"tensorflow {tf.__version__}"
        return DeviceInfo("gpu" if gpus else "cpu", name, max(1, len(gpus)), framework)

    def memory_peak(self) -> int | None:
        if not tf.config.list_physical_devices("GPU"):
            return None
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])

    def make_deterministic(self) -> None:
        tf.config.experimental.enable_op_determinism()


def for_any_size(function: Any, batch: Sequence[Any]) -> Any:
    """Its trace for batches like this one of any size: the size makes no difference to how fast it
    computes, and a trace a size would take as long as many batches."""
    specs = [tf.TensorSpec((None, *a.shape[1:]) if a.ndim else (), a.dtype) for a in batch]
    return function.get_concrete_function(*specs)


class _Forward:
    any_size = True

    def __init__(self, model: Any) -> None:
        @graph
        def call(x: Any) -> Any:
            return model(x, training=False)

        self._call = call
        self._traced: dict[tuple[tuple[int, ...], Any], Any] = {}

    def compile(self, batch: Array) -> None:
        self._function(batch)

    def __call__(self, batch: Array) -> list[Array]:
        return host(self._function(batch)(tf.convert_to_tensor(batch)))

    def _function(self, batch: Array) -> Any:
        image = batch.shape[1:], batch.dtype
        if image not in self._traced:
            self._traced[image] = for_any_size(self._call, [batch])
        return self._traced[image]


class _Step:
    any_size = True

    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        variables = model.trainable_variables
        optimizer.build(variables)
        update = tensorflow_adam.update_of(optimizer)

        @graph
        def step(x: Any, y: Any, weight: Any) -> Any:
            with tensorflow_gradients.taken_as_products():
                logits = model(x, training=True)
            value = loss(y, logits, weight)
            gradients = tensorflow_gradients.gradients(optimizer.scale_loss(value), variables)
            update(gradients, variables)
            return tf.stack([value, correct(y, logits, weight)])

        self._step = self._traced = step

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        # Called as such, it need not be looked up by all its arguments in every step.
        self._traced = for_any_size(self._step, self.put(x, y, weight))

    def put(self, x: Array, y: Array, weight: Array) -> Any:
        return tuple(tf.convert_to_tensor(item) for item in (x, y, weight))

    def __call__(self, batch: Any) -> Any:
        return self._traced(*batch)

    def fetch(self, results: Sequence[Any]) -> Array:
        return np.asarray(tf.stack(list(results)))

    def sync(self) -> None:
        """The Keras variables are the trained ones already."""


BACKEND = _Backend()
