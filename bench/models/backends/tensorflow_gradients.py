"""The gradients of pointwise convolutions as matrix products.

A convolution of one pixel by one is a matrix product, and on a CPU its two gradients take less time
as such; the forward pass stays a convolution, which TensorFlow fuses with the activation.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import tensorflow as tf

from bench.system.ablation import enabled

NAME = "BackboneBenchPointwise"


def taken_as_products() -> AbstractContextManager[Any]:
    """Return a context in a `tf.function` whose convolutions have these gradients, on a CPU."""
    if tf.config.list_physical_devices("GPU") or not enabled("gradients"):
        return nullcontext()
    graph = tf.compat.v1.get_default_graph()
    names: AbstractContextManager[Any] = graph.gradient_override_map({"Conv2D": NAME})
    return names


def gradients(value: Any, variables: Sequence[Any]) -> list[Any]:
    """Return the gradients of a value by Keras variables; `tf.GradientTape` ignores overrides."""
    found: list[Any] = tf.gradients(value, [variable.value for variable in variables])
    return found


@tf.RegisterGradient(NAME)  # type: ignore[untyped-decorator]
def _gradient(operation: Any, gradient: Any) -> Sequence[Any]:
    inputs, kernel = operation.inputs
    height, width, channels, filters = kernel.shape
    strides, layout = operation.get_attr("strides"), operation.get_attr("data_format")
    if (height, width) != (1, 1) or set(strides) != {1} or layout != b"NHWC":
        return _usual(operation, gradient)
    rows = tf.reshape(gradient, (-1, filters))
    by_input = tf.matmul(rows, tf.reshape(kernel, (channels, filters)), transpose_b=True)
    by_kernel = tf.matmul(tf.reshape(inputs, (-1, channels)), rows, transpose_a=True)
    return tf.reshape(by_input, tf.shape(inputs)), tf.reshape(by_kernel, kernel.shape)


def _usual(operation: Any, gradient: Any) -> Sequence[Any]:
    inputs, kernel = operation.inputs
    names = ("strides", "padding", "explicit_paddings", "dilations", "data_format")
    how = {name: operation.get_attr(name) for name in names}
    by_input = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(inputs), filter=kernel, out_backprop=gradient, **how
    )
    by_kernel = tf.raw_ops.Conv2DBackpropFilter(
        input=inputs, filter_sizes=tf.shape(kernel), out_backprop=gradient, **how
    )
    return by_input, by_kernel
