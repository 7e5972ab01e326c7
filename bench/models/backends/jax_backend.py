"""The JAX backend. Nothing here may import TensorFlow: it need not be installed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.errors import TrialError
from bench.models.backends.base import (
    Array,
    DeviceInfo,
    Forward,
    GradientStep,
    LossFunction,
    correct,
    host,
)
from bench.system.frameworks import DETERMINISTIC_XLA


class _Backend:
    gains_from_folding = False

    def forward(self, model: Any) -> Forward:
        return _Forward(model)

    def train_step(self, model: Any, optimizer: Any, loss: LossFunction) -> _Step:
        return _Step(model, optimizer, loss)

    def gradient_step(self, model: Any, optimizer: Any, loss: LossFunction) -> GradientStep:
        from bench.models.backends import jax_accumulation

        return jax_accumulation.GradientStep(model, optimizer, loss)

    def device(self) -> DeviceInfo:
        devices = jax.devices()
        kind = "cpu" if devices[0].platform == "cpu" else "gpu"
        name = "" if kind == "cpu" else devices[0].device_kind
        return DeviceInfo(kind, name, len(devices), f"jax {jax.__version__}")

    def memory_peak(self) -> int | None:
        device = jax.devices()[0]
        if device.platform == "cpu":
            return None
        stats = device.memory_stats() or {}
        return stats.get("peak_bytes_in_use")

    def make_deterministic(self) -> None:
        # XLA is deterministic on CPU; on a GPU it must have been told before it started.
        if self.device().kind == "gpu" and DETERMINISTIC_XLA not in os.environ.get("XLA_FLAGS", ""):
            raise TrialError(
                f"--deterministic on a GPU with JAX needs XLA_FLAGS={DETERMINISTIC_XLA} when the "
                f"process starts."
            )


class _Forward:
    any_size = False  # XLA compiles for one shape

    def __init__(self, model: Any) -> None:
        # Weights are arguments, not constants: a later training step must be seen, and compiling
        # them in would copy them into the program.
        @jax.jit  # type: ignore[untyped-decorator]
        def call(trained: Any, other: Any, x: Any) -> Any:
            return model.stateless_call(trained, other, x, training=False)[0]

        self._call = call
        self._compiled: dict[tuple[int, ...], Any] = {}
        # Which variables are trainable changes between phases; the compiled call keeps to the
        # division it was traced with.
        self._trained = list(model.trainable_variables)
        self._other = list(model.non_trainable_variables)

    def compile(self, batch: Array) -> None:
        self._compiled[batch.shape] = self._call.lower(*self._weights(), batch).compile()

    def __call__(self, batch: Array) -> list[Array]:
        call = self._compiled.get(batch.shape, self._call)
        return host(call(*self._weights(), batch))

    def _weights(self) -> tuple[Any, Any]:
        return [v.value for v in self._trained], [v.value for v in self._other]


class _Step:
    any_size = False

    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        self._variables = Variables(model, optimizer)
        self._state: Any = None
        self._compiled: dict[tuple[int, ...], Any] = {}

        def step(state: Any, x: Any, y: Any, weight: Any) -> Any:
            gradients, (trained, other, slots), result = differentiated(
                model, optimizer, loss, state, x, y, weight
            )
            trained, slots = optimizer.stateless_apply(slots, gradients, trained)
            return (trained, other, slots), result

        self._step = jax.jit(step, donate_argnums=0)

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        lowered = self._step.lower(self._variables.state(), x, y, weight)
        self._compiled[x.shape] = lowered.compile()

    def put(self, x: Array, y: Array, weight: Array) -> Any:
        return jax.device_put((x, y, weight))

    def __call__(self, batch: Any) -> Any:
        if self._state is None:
            # The step gives its state's memory to its result, so it must not own Keras' arrays.
            self._state = jax.tree.map(jnp.copy, self._variables.state())
        step = self._compiled.get(batch[0].shape, self._step)
        self._state, result = step(self._state, *batch)
        return result

    def fetch(self, results: Sequence[Any]) -> Array:
        return np.asarray(jnp.stack(list(results)))

    def sync(self) -> None:
        if self._state is not None:
            self._variables.assign(self._state)
            self._state = None


class Variables:
    """The Keras variables that training changes: trained, others of the model, the optimizer's."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        optimizer.build(model.trainable_variables)
        self._groups = (
            model.trainable_variables,
            model.non_trainable_variables,
            optimizer.variables,
        )

    def state(self) -> Any:
        return tuple([v.value for v in variables] for variables in self._groups)

    def assign(self, state: Any) -> None:
        for variables, values in zip(self._groups, state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)


def differentiated(
    model: Any,
    optimizer: Any,
    loss: LossFunction,
    state: Any,
    x: Any,
    y: Any,
    weight: Any,
    share: Any = 1.0,
) -> tuple[Any, Any, Any]:
    """The gradients of a batch, or of a part with this share of one; the state; the result."""
    trained, other, slots = state

    def objective(trained: Any) -> Any:
        logits, after = model.stateless_call(trained, other, x, training=True)
        value = loss(y, logits, weight) * share
        # A loss-scaling optimizer reads its scale from its variables.
        return _scaled(optimizer, slots, value), (value, logits, after)

    gradients, (value, logits, other) = jax.grad(objective, has_aux=True)(trained)
    result = jnp.stack([value, correct(y, logits, weight)])
    return gradients, (trained, other, slots), result


def _scaled(optimizer: Any, slots: Any, value: Any) -> Any:
    import keras

    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return value
    with keras.StatelessScope(state_mapping=list(zip(optimizer.variables, slots, strict=True))):
        return optimizer.scale_loss(value)


BACKEND = _Backend()
