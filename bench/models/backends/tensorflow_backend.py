"""The TensorFlow backend. In `models` and `training`, only this file imports TensorFlow.

Gradients of pointwise convolutions as matrix products were tried and are not worth their code: 0.96
to 1.06 of the processor time (`benchmarks/ablation.py`, whole runs of MobileNetV2 at 160 px,
ResNet50 and the demo).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.models.backends.base import (
    Array,
    Backend,
    DeviceInfo,
    LossFunction,
    count_correct,
    to_numpy,
)
from bench.models.folding import fold_batchnorm

# XLA is always off: it is up to 14 times slower for depthwise convolutions on a CPU, and is timed
# as a runtime of its own. Autograph has nothing to rewrite in Keras layers.
graph: Callable[[Callable[..., Any]], Any] = tf.function(
    jit_compile=False, reduce_retracing=True, autograph=False
)


def _for_any_size(function: Any, batch: Sequence[Any]) -> Any:
    """Trace `function` for batches like this one, but of any size.

    Such a trace is as fast as one for a fixed size, and a trace per size takes as long as many
    batches.
    """
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
        return to_numpy(self._function(batch)(tf.convert_to_tensor(batch)))

    def _function(self, batch: Array) -> Any:
        image = batch.shape[1:], batch.dtype
        if image not in self._traced:
            self._traced[image] = _for_any_size(self._call, [batch])
        return self._traced[image]


class _Step:
    """The common parts of both kinds of step: the gradients, and moving data to the device."""

    any_size = True

    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        self._model, self._optimizer, self._loss = model, optimizer, loss
        self._variables = model.trainable_variables
        optimizer.build(self._variables)

    def put(self, *batch: Any) -> Any:
        return tuple(tf.convert_to_tensor(item) for item in batch)

    def fetch(self, results: Sequence[Any]) -> Array:
        return np.asarray(tf.stack(list(results)))

    def sync(self) -> None:
        """Do nothing: the step trains the Keras variables themselves."""

    def _gradients(self, x: Any, y: Any, weight: Any, *share: Any) -> tuple[list[Any], Any]:
        with tf.GradientTape() as tape:
            logits = self._model(x, training=True)
            value = self._loss(y, logits, weight)
            value = value * share[0] if share else value
            scaled = self._optimizer.scale_loss(value)
        gradients = tape.gradient(scaled, [variable.value for variable in self._variables])
        return gradients, tf.stack([value, count_correct(y, logits, weight)])


class _TrainStep(_Step):
    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        super().__init__(model, optimizer, loss)

        @graph
        def step(x: Any, y: Any, weight: Any) -> Any:
            gradients, result = self._gradients(x, y, weight)
            self._optimizer.apply(gradients, self._variables)
            return result

        self._step = self._traced = step

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        # Calling a concrete function saves the lookup by all arguments in every step.
        self._traced = _for_any_size(self._step, self.put(x, y, weight))

    def __call__(self, batch: Any) -> Any:
        return self._traced(*batch)


class _GradientStep(_Step):
    """A step in two functions, so that the activations of one part are freed before the next part
    begins: within one graph, operations of several parts may run concurrently."""

    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        super().__init__(model, optimizer, loss)
        zeros = (tf.zeros(v.shape, v.dtype) for v in self._variables)
        sums = [tf.Variable(zero, trainable=False) for zero in zeros]

        @graph
        def add(x: Any, y: Any, weight: Any, share: Any) -> Any:
            gradients, result = self._gradients(x, y, weight, share)
            for total, gradient in zip(sums, gradients, strict=True):
                total.assign_add(gradient)
            return result

        @graph
        def apply() -> None:
            self._optimizer.apply([tf.convert_to_tensor(total) for total in sums], self._variables)
            for total in sums:
                total.assign(tf.zeros_like(total))

        self._add, self._apply = add, apply

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        self._add = _for_any_size(self._add, self.put(x, y, weight, np.float32(1)))
        self._apply = self._apply.get_concrete_function()

    def add(self, part: Any) -> Any:
        return self._add(*part)

    def apply(self) -> None:
        self._apply()


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam in one operation per weight, where Keras' Adam takes a dozen, each through memory.

    With Keras' Adam, and the copies of a head in one weight, a head of 100 classes at five learning
    rates takes 1.34 times the processor time, or 1.08 times with the frozen pass; a head of 17
    classes 1.27 and 1.03 times (`benchmarks/head_rates.py`). Whole runs at one rate take 1.00 to
    1.06 times. An update differs by up to 3e-5 of its size, as this rounds 1 - beta_2 to 32 bits.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _device() -> DeviceInfo:
    gpus = tf.config.list_physical_devices("GPU")
    name = ""
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "")
    framework = f"tensorflow {tf.__version__}"
    return DeviceInfo("gpu" if gpus else "cpu", name, max(1, len(gpus)), framework)


def _memory_peak() -> int | None:
    if not tf.config.list_physical_devices("GPU"):
        return None
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


BACKEND = Backend(
    optimise=fold_batchnorm,
    adam=FusedAdam,
    building_context=nullcontext,
    forward=_Forward,
    train_step=_TrainStep,
    gradient_step=_GradientStep,
    device=_device,
    memory_peak=_memory_peak,
    make_deterministic=tf.config.experimental.enable_op_determinism,
)
