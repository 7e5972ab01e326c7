"""Initializers for JAX that compute with NumPy.

JAX compiles a program for every shape, which takes longer than the rest of building a network, and
most initial values are replaced by pretrained weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

INITIALIZERS = (
    *(keras.initializers.Zeros, keras.initializers.Ones, keras.initializers.VarianceScaling),
    *(keras.initializers.RandomUniform, keras.initializers.RandomNormal),
    keras.initializers.TruncatedNormal,
)


@contextmanager
def numpy_initializers() -> Iterator[None]:
    """Make Keras' initializers compute with NumPy within the context."""
    with ExitStack() as stack:
        for kind in INITIALIZERS:
            stack.enter_context(_patch(kind, __call__=_with_numpy(kind.__call__)))
        yield


def _with_numpy(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the call of an initializer, computed with NumPy's functions instead of JAX's."""

    def initialise(initializer: Any, shape: Any, dtype: Any = None) -> Any:
        try:
            with _patch(jnp, zeros=np.zeros, ones=np.ones), _patch(jax.random, **DRAWS):
                value = call(initializer, shape, dtype)
            return jax.device_put(value.astype(keras.backend.standardize_dtype(dtype)))
        except jax.errors.JAXTypeError:  # NumPy cannot compute with traced values
            return call(initializer, shape, dtype)

    return initialise


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
def _patch(owner: Any, **functions: Callable[..., Any]) -> Iterator[None]:
    """Replace attributes of a module or class within the context."""
    originals = {name: getattr(owner, name) for name in functions}
    try:
        for name, function in functions.items():
            setattr(owner, name, function)
        yield
    finally:
        for name, function in originals.items():
            setattr(owner, name, function)
