"""The JAX backend. Nothing here may import TensorFlow: it need not be installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from bench.errors import TrialError
from bench.models.backends.base import Array, Backend, DeviceInfo, LossFunction, correct, host
from bench.models.backends.jax_depthwise import depthwise_conv
from bench.models.folding import folded
from bench.system.frameworks import DETERMINISTIC_XLA

INITIALIZERS = (
    *(keras.initializers.Zeros, keras.initializers.Ones, keras.initializers.VarianceScaling),
    *(keras.initializers.RandomUniform, keras.initializers.RandomNormal),
    keras.initializers.TruncatedNormal,
)


@contextmanager
def _building() -> Iterator[None]:
    """Make initial values with NumPy: JAX compiles programs for every shape, which takes longer
    than all else in building a network, and most weights are replaced by trained ones."""
    with ExitStack() as stack:
        for kind in INITIALIZERS:
            stack.enter_context(_replaced(kind, __call__=_on_host(kind.__call__)))
        yield


def _on_host(call: Callable[..., Any]) -> Callable[..., Any]:
    def made(initializer: Any, shape: Any, dtype: Any = None) -> Any:
        try:
            with _replaced(jnp, zeros=np.zeros, ones=np.ones), _replaced(jax.random, **DRAWS):
                value = call(initializer, shape, dtype)
            return jax.device_put(value.astype(keras.backend.standardize_dtype(dtype)))
        except jax.errors.JAXTypeError:  # a traced seed or size has no value that NumPy could take
            return call(initializer, shape, dtype)

    return made


def _uniform(key: Any, *, shape: Any, dtype: Any, minval: float, maxval: float) -> Any:
    return _generator(key).uniform(minval, maxval, shape).astype(dtype)


def _normal(key: Any, *, shape: Any, dtype: Any) -> Any:
    return _generator(key).standard_normal(shape).astype(dtype)


def _truncated_normal(key: Any, *, shape: Any, dtype: Any, lower: float, upper: float) -> Any:
    generator = _generator(key)
    drawn = generator.standard_normal(shape)
    while (outside := (drawn < lower) | (drawn > upper)).any():
        drawn[outside] = generator.standard_normal(np.count_nonzero(outside))
    return drawn.astype(dtype)


def _generator(key: Any) -> np.random.Generator:
    return np.random.default_rng(np.asarray(key))


DRAWS: dict[str, Callable[..., Any]] = {
    "uniform": _uniform,
    "normal": _normal,
    "truncated_normal": _truncated_normal,
}


@contextmanager
def _replaced(owner: Any, **ours: Callable[..., Any]) -> Iterator[None]:
    before = {name: getattr(owner, name) for name in ours}
    try:
        for name, function in ours.items():
            setattr(owner, name, function)
        yield
    finally:
        for name, function in before.items():
            setattr(owner, name, function)


class _Forward:
    any_size = False  # XLA compiles for one shape

    def __init__(self, model: Any) -> None:
        # Weights are arguments, not constants: later training must take effect, and compiling them
        # in would copy them into the program.
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
    """What both kinds of step share: the state on the device, and the gradients of a batch."""

    any_size = False

    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        self._model, self._optimizer, self._loss = model, optimizer, loss
        with _building():
            optimizer.build(model.trainable_variables)
        # What training changes: trained weights, others of the model, the optimizer's.
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
        """Return what the compiled function takes and gives back."""
        return tuple([v.value for v in variables] for variables in self._variables)

    def _trained_state(self) -> Any:
        return self._state

    def _begin(self) -> None:
        if self._state is None:
            # The step reuses its state's memory for its result, so it must not own Keras' arrays.
            self._state = _copy(self._initial_state())

    def _gradients(self, state: Any, x: Any, y: Any, weight: Any, *share: Any) -> Any:
        """Return the gradients of a batch (or of a part with its share), the state, the result."""
        trained, other, slots = state

        def objective(trained: Any) -> Any:
            logits, after = self._model.stateless_call(trained, other, x, training=True)
            value = self._loss(y, logits, weight)
            value = value * share[0] if share else value
            # A loss-scaling optimizer reads its scale from its variables.
            return _scaled(self._optimizer, slots, value.sum()), (value, logits, after)

        gradients, (value, logits, other) = jax.grad(objective, has_aux=True)(trained)
        result = jnp.stack([value, correct(y, logits, weight)])
        return gradients, (trained, other, slots), result

    def _updated(self, gradients: Any, state: Any) -> Any:
        trained, other, slots = state
        trained, slots = self._optimizer.stateless_apply(slots, gradients, trained)
        return trained, other, slots


class _TrainStep(_Step):
    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        super().__init__(model, optimizer, loss)

        def step(state: Any, x: Any, y: Any, weight: Any) -> Any:
            gradients, state, result = self._gradients(state, x, y, weight)
            return self._updated(gradients, state), result

        self._step = jax.jit(step, donate_argnums=0)

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        lowered = self._step.lower(self._initial_state(), x, y, weight)
        self._compiled[x.shape] = lowered.compile()

    def __call__(self, batch: Any) -> Any:
        self._begin()
        step = self._compiled.get(batch[0].shape, self._step)
        self._state, result = step(self._state, *batch)
        return result


class _GradientStep(_Step):
    """The sums of gradients are part of the state."""

    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        super().__init__(model, optimizer, loss)

        def add(state: Any, sums: Any, x: Any, y: Any, weight: Any, share: Any) -> Any:
            gradients, state, result = self._gradients(state, x, y, weight, share)
            sums = [total + gradient for total, gradient in zip(sums, gradients, strict=True)]
            return state, sums, result

        def apply(state: Any, sums: Any) -> Any:
            return self._updated(sums, state), [jnp.zeros_like(total) for total in sums]

        self._add = jax.jit(add, donate_argnums=(0, 1))
        self._apply: Any = jax.jit(apply, donate_argnums=(0, 1))

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        state = self._initial_state()
        lowered = self._add.lower(*state, x, y, weight, np.float32(1))
        self._compiled[x.shape] = lowered.compile()
        self._apply = self._apply.lower(*state).compile()

    def add(self, part: Any) -> Any:
        self._begin()
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
def _copy(state: Any) -> Any:
    return jax.tree.map(jnp.copy, state)


def _scaled(optimizer: Any, slots: Any, value: Any) -> Any:
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return value
    with keras.StatelessScope(state_mapping=list(zip(optimizer.variables, slots, strict=True))):
        return optimizer.scale_loss(value)


def _device() -> DeviceInfo:
    devices = jax.devices()
    kind = "cpu" if devices[0].platform == "cpu" else "gpu"
    name = "" if kind == "cpu" else devices[0].device_kind
    return DeviceInfo(kind, name, len(devices), f"jax {jax.__version__}")


def _faster(model: Any) -> Any:
    # On a GPU, XLA fuses BatchNorm with convolutions by itself.
    return folded(model, depthwise_conv) if _device().kind == "cpu" else model


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
    faster=_faster,
    adam=keras.optimizers.Adam,
    building=_building,
    forward=_Forward,
    train_step=_TrainStep,
    gradient_step=_GradientStep,
    device=_device,
    memory_peak=_memory_peak,
    make_deterministic=_make_deterministic,
)
