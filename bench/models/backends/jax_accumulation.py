"""JAX's training step in two: gradients that are added up, and their application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.models.backends.base import Array, LossFunction
from bench.models.backends.jax_backend import Variables, differentiated


class GradientStep:
    """See `bench.models.backends.base.GradientStep`; the sums are part of the state."""

    any_size = False

    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        self._variables = Variables(model, optimizer)
        self._state: Any = None
        self._compiled: dict[tuple[int, ...], Any] = {}

        def add(state: Any, sums: Any, x: Any, y: Any, weight: Any, share: Any) -> Any:
            gradients, state, result = differentiated(
                model, optimizer, loss, state, x, y, weight, share
            )
            sums = [total + gradient for total, gradient in zip(sums, gradients, strict=True)]
            return state, sums, result

        def apply(state: Any, sums: Any) -> Any:
            trained, other, slots = state
            trained, slots = optimizer.stateless_apply(slots, sums, trained)
            return (trained, other, slots), [jnp.zeros_like(total) for total in sums]

        self._add = jax.jit(add, donate_argnums=(0, 1))
        self._apply: Any = jax.jit(apply, donate_argnums=(0, 1))

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        state = self._current()
        lowered = self._add.lower(*state, x, y, weight, np.float32(1))
        self._compiled[x.shape] = lowered.compile()
        self._apply = self._apply.lower(*state).compile()

    def put(self, x: Array, y: Array, weight: Array, share: float) -> Any:
        return jax.device_put((x, y, weight, np.float32(share)))

    def add(self, part: Any) -> Any:
        if self._state is None:
            # The step gives its state's memory to its result, so it must not own Keras' arrays.
            self._state = jax.tree.map(jnp.copy, self._current())
        add = self._compiled.get(part[0].shape, self._add)
        *self._state, result = add(*self._state, *part)
        return result

    def apply(self) -> None:
        self._state = self._apply(*self._state)

    def fetch(self, results: Sequence[Any]) -> Array:
        return np.asarray(jnp.stack(list(results)))

    def sync(self) -> None:
        if self._state is not None:
            self._variables.assign(self._state[0])
            self._state = None

    def _current(self) -> Any:
        state = self._variables.state()
        return state, [jnp.zeros_like(value) for value in state[0]]
