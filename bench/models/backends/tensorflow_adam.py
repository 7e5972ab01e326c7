"""Adam in one pass over each variable, by TensorFlow's own fused operation.

Keras' update is a dozen operations over arrays of the variable's size; the fused one gives the same
values up to the rounding of float32 in a third of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from bench.system.ablation import enabled


def update_of(optimizer: Any) -> Callable[[Sequence[Any], Sequence[Any]], None]:
    """Return `optimizer.apply`, or a fused equivalent where there is one.

    Call it outside a `tf.function`, where the optimizer's settings are numbers and not tensors.
    """
    fused = enabled("adam") and is_plain_adam(optimizer)
    return partial(apply, optimizer) if fused else optimizer.apply


def is_plain_adam(optimizer: Any) -> bool:
    """Return whether the optimizer is Adam with a rate and its two decays, and nothing else."""
    settings = keras.optimizers.Adam().get_config()
    own = optimizer.get_config()
    free = ("name", "learning_rate", "beta_1", "beta_2", "epsilon")
    return type(optimizer) is keras.optimizers.Adam and all(
        own[name] == value for name, value in settings.items() if name not in free
    )


def apply(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """Apply gradients as `optimizer.apply` does, for plain Adam; inside a `tf.function`."""
    # Keras orders its variables: the step, the rate, then two slots for each trained variable.
    step, rate, *slots = optimizer.variables
    number = tf.cast(step.value + 1, tf.float32)
    for variable, gradient, mean, square in zip(
        variables, gradients, slots[0::2], slots[1::2], strict=True
    ):
        tf.raw_ops.ResourceApplyAdam(
            var=variable.value.handle,
            m=mean.value.handle,
            v=square.value.handle,
            beta1_power=optimizer.beta_1**number,
            beta2_power=optimizer.beta_2**number,
            lr=rate.value,
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )
    step.assign_add(1)
