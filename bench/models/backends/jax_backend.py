"""The JAX backend. It must not import TensorFlow, which may not be installed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from bench.errors import TrialError
from bench.models.backends.base import (
    Array,
    Backend,
    DeviceInfo,
    LossFunction,
    count_correct,
    to_numpy,
)
from bench.models.backends.jax_depthwise import depthwise_conv
from bench.models.backends.jax_initializers import numpy_initializers
from bench.models.folding import fold_batchnorm
from bench.system.frameworks import DETERMINISTIC_XLA


class _Forward:
    any_size = False  # XLA compiles for one shape

    def __init__(self, model: Any) -> None:
        # Weights are arguments, not constants: constants would ignore later training, and would be
        # copied into the program.
        @jax.jit  # type: ignore[untyped-decorator]
        def call(trained: Any, other: Any, x: Any) -> Any:
            return model.stateless_call(trained, other, x, training=False)[0]

        self._call = call
        self._compiled: dict[tuple[int, ...], Any] = {}
        # `trainable` changes between phases; the compiled call needs the division into trainable
        # and other variables that it was traced with.
        self._trained = list(model.trainable_variables)
        self._other = list(model.non_trainable_variables)

    def compile(self, batch: Array) -> None:
        self._compiled[batch.shape] = self._call.lower(*self._weights(), batch).compile()

    def __call__(self, batch: Array) -> list[Array]:
        call = self._compiled.get(batch.shape, self._call)
        return to_numpy(call(*self._weights(), batch))

    def _weights(self) -> tuple[Any, Any]:
        return [v.value for v in self._trained], [v.value for v in self._other]


class _Step:
    """The common parts of both kinds of step: the state on the device, and the gradients."""

    any_size = False

    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        self._model, self._optimizer, self._loss = model, optimizer, loss
        with numpy_initializers():
            optimizer.build(model.trainable_variables)
        # All that training changes.
        self._variables = (
            model.trainable_variables,
            model.non_trainable_variables,
            optimizer.variables,
        )
        self._state: Any = None
        self._compiled: dict[tuple[int, ...], Any] = {}

    def put(self, *batch: Any) -> Any:
        return jax.device_put(batch)

    def fetch(self, results: Sequence[Any]) -> Array:
        return np.asarray(jnp.stack(list(results)))

    def sync(self) -> None:
        if self._state is None:
            return
        for variables, values in zip(self._variables, self._trained_state(), strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self._state = None

    def _initial_state(self) -> Any:
        """Return the values of the Keras variables, as the state that the compiled step updates."""
        return tuple([v.value for v in variables] for variables in self._variables)

    def _trained_state(self) -> Any:
        return self._state

    def _ensure_state(self) -> None:
        if self._state is None:
            # The step overwrites the memory of its state, so this must not be Keras' own arrays.
            self._state = _copy_state(self._initial_state())

    def _gradients(self, state: Any, x: Any, y: Any, weight: Any, *share: Any) -> Any:
        """Return the gradients of a batch (or of a part with its share), the new state, and the
        loss and number correct."""
        trained, other, slots = state

        def objective(trained: Any) -> Any:
            logits, after = self._model.stateless_call(trained, other, x, training=True)
            value = self._loss(y, logits, weight)
            value = value * share[0] if share else value
            # A loss-scaling optimizer reads its scale from its variables.
            return _scale_loss(self._optimizer, slots, value.sum()), (value, logits, after)

        gradients, (value, logits, other) = jax.grad(objective, has_aux=True)(trained)
        result = jnp.stack([value, count_correct(y, logits, weight)])
        return gradients, (trained, other, slots), result

    def _apply_gradients(self, gradients: Any, state: Any) -> Any:
        trained, other, slots = state
        trained, slots = self._optimizer.stateless_apply(slots, gradients, trained)
        return trained, other, slots


class _TrainStep(_Step):
    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        super().__init__(model, optimizer, loss)

        def step(state: Any, x: Any, y: Any, weight: Any) -> Any:
            gradients, state, result = self._gradients(state, x, y, weight)
            return self._apply_gradients(gradients, state), result

        self._step = jax.jit(step, donate_argnums=0)

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        lowered = self._step.lower(self._initial_state(), x, y, weight)
        self._compiled[x.shape] = lowered.compile()

    def __call__(self, batch: Any) -> Any:
        self._ensure_state()
        step = self._compiled.get(batch[0].shape, self._step)
        self._state, result = step(self._state, *batch)
        return result


class _GradientStep(_Step):
    """A step whose state includes the accumulated gradients."""

    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        super().__init__(model, optimizer, loss)

        def add(state: Any, sums: Any, x: Any, y: Any, weight: Any, share: Any) -> Any:
            gradients, state, result = self._gradients(state, x, y, weight, share)
            sums = [total + gradient for total, gradient in zip(sums, gradients, strict=True)]
            return state, sums, result

        def apply(state: Any, sums: Any) -> Any:
            return self._apply_gradients(sums, state), [jnp.zeros_like(total) for total in sums]

        self._add = jax.jit(add, donate_argnums=(0, 1))
        self._apply: Any = jax.jit(apply, donate_argnums=(0, 1))

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        state = self._initial_state()
        lowered = self._add.lower(*state, x, y, weight, np.float32(1))
        self._compiled[x.shape] = lowered.compile()
        self._apply = self._apply.lower(*state).compile()

    def add(self, part: Any) -> Any:
        self._ensure_state()
        add = self._compiled.get(part[0].shape, self._add)
        *self._state, result = add(*self._state, *part)
        return result

    def apply(self) -> None:
        self._state = self._apply(*self._state)

    def _initial_state(self) -> Any:
        state = super()._initial_state()
        return state, [jnp.zeros_like(value) for value in state[0]]

    def _trained_state(self) -> Any:
        return self._state[0]


@jax.jit  # type: ignore[untyped-decorator]
def _copy_state(state: Any) -> Any:
    return jax.tree.map(jnp.copy, state)


def _scale_loss(optimizer: Any, slots: Any, value: Any) -> Any:
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return value
    with keras.StatelessScope(state_mapping=list(zip(optimizer.variables, slots, strict=True))):
        return optimizer.scale_loss(value)


def _device() -> DeviceInfo:
    devices = jax.devices()
    kind = "cpu" if devices[0].platform == "cpu" else "gpu"
    name = "" if kind == "cpu" else devices[0].device_kind
    return DeviceInfo(kind, name, len(devices), f"jax {jax.__version__}")


def _optimise(model: Any) -> Any:
    # On a GPU, XLA fuses BatchNorm with convolutions by itself.
    return fold_batchnorm(model, depthwise_conv) if _device().kind == "cpu" else model


def _memory_peak() -> int | None:
    device = jax.devices()[0]
    if device.platform == "cpu":
        return None
    stats = device.memory_stats() or {}
    return stats.get("peak_bytes_in_use")


def _make_deterministic() -> None:
    # XLA is deterministic on CPU; on a GPU the flag is read when it starts.
    if _device().kind == "gpu" and DETERMINISTIC_XLA not in os.environ.get("XLA_FLAGS", ""):
        raise TrialError(
            f"--deterministic on a GPU with JAX needs XLA_FLAGS={DETERMINISTIC_XLA} when the "
            f"process starts."
        )


BACKEND = Backend(
    optimise=_optimise,
    adam=keras.optimizers.Adam,
    building_context=numpy_initializers,
    forward=_Forward,
    train_step=_TrainStep,
    gradient_step=_GradientStep,
    device=_device,
    memory_peak=_memory_peak,
    make_deterministic=_make_deterministic,
)
