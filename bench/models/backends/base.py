"""The interface to a Keras backend: a compiled forward pass and a compiled training step.

Everything else is Keras 3 and NumPy. One module per backend implements this interface; `current()`
imports only the module of the backend that Keras runs on.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bench.errors import UsageError
from bench.models.cuts import as_list
from bench.system.frameworks import KERAS_BACKENDS, set_framework_defaults, suppress_stderr

Array = NDArray[Any]
LossFunction = Callable[[Any, Any, Any], Any]
"""(labels, logits, weights) -> the weighted mean loss of the batch, or one loss for each copy of a
head, as a backend tensor. Training minimises the sum."""


@dataclass(frozen=True)
class DeviceInfo:
    """The device that Keras computes on."""

    kind: str  # "cpu" or "gpu"
    name: str  # "" for a CPU
    count: int
    framework: str  # such as "tensorflow 2.21.0"


class Forward(Protocol):
    """A compiled inference pass: NumPy batch in, NumPy outputs out."""

    @property
    def any_size(self) -> bool:
        """Return whether one compilation serves any batch size; else the last batch is padded."""

    def compile(self, batch: Array) -> None:
        """Compile for batches shaped like this one, without computing anything."""

    def __call__(self, batch: Array) -> list[Array]: ...


class Step(Protocol):
    """A compiled step of one model and optimizer; it may hold the trained values until `sync`."""

    @property
    def any_size(self) -> bool:
        """The same as `Forward.any_size`."""

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        """Compile for batches shaped like this one, without training on it."""

    def put(self, *batch: Any) -> Any:
        """Start moving images, labels, weights (and a share) to the device."""

    def fetch(self, results: Sequence[Any]) -> Array:
        """Wait for the steps; return their (loss, number correct) rows as a NumPy array."""

    def sync(self) -> None:
        """Assign the trained values to the Keras variables."""


class TrainStep(Step, Protocol):
    """Gradients and update in one compiled function."""

    def __call__(self, batch: Any) -> Any:
        """Train on a batch; return its loss and number correct, still on the device."""


class GradientStep(Step, Protocol):
    """Gradient accumulation: the gradients of several parts of a batch are added, then applied.

    Keras' `gradient_accumulation_steps` cannot replace this. It divides by a fixed number of parts,
    so a shorter last batch of an epoch would have to be padded with whole parts, which BatchNorm in
    training mode would see. And a loss-scaling optimizer (mixed_float16) skips a part whose
    gradient is not finite without counting it: every later update would mix parts of two batches.
    """

    def add(self, part: Any) -> Any:
        """Add the gradients of a part, which includes its share of the batch's weight; return the
        part's share of the loss and its number correct."""

    def apply(self) -> None:
        """Update the weights by the accumulated gradients, and reset these to zero."""


@dataclass(frozen=True)
class Backend:
    """The functions of one Keras backend."""

    optimise: Callable[[Any], Any]
    """Return an equivalent model that shares the weights and is faster on this backend. Used in
    training and prediction, not for the models whose latency is measured."""
    adam: Any
    """The Adam class: that of Keras, or a faster one with the same updates."""
    building_context: Callable[[], AbstractContextManager[None]]
    """Return the context manager in which networks are built."""
    forward: Callable[[Any], Forward]
    """Build the forward pass of a model."""
    train_step: Callable[[Any, Any, LossFunction], TrainStep]
    """Build the training step of a model, from the model, its optimizer and its loss."""
    gradient_step: Callable[[Any, Any, LossFunction], GradientStep]
    """Build the accumulating step of a model, from the model, its optimizer and its loss."""
    device: Callable[[], DeviceInfo]
    memory_peak: Callable[[], int | None]
    """Return the peak of the bytes in use on the first GPU; `None` without a GPU."""
    make_deterministic: Callable[[], None]
    """Make operations deterministic for the rest of the process."""


def current_backend() -> Backend:
    """Return the `Backend` that Keras runs on in this process."""
    import keras

    name = keras.config.backend()
    if name not in KERAS_BACKENDS:
        raise UsageError(f"KERAS_BACKEND={name} is not supported; use tensorflow, jax or torch.")
    module = importlib.import_module(f"bench.models.backends.{name}_backend")
    return cast(Backend, module.BACKEND)


def start_backend(preferred: str = "") -> Backend:
    """Import Keras and the framework, suppressing their output, and return the backend.

    It is `preferred`, unless the user names another or it is not installed.
    """
    set_framework_defaults(preferred)
    with suppress_stderr():
        return current_backend()


def count_correct(labels: Any, logits: Any, weights: Any) -> Any:
    """Return the weighted number of correctly classified images as a backend tensor.

    For logits of several copies of a head (images x copies x units), return one number per copy.
    """
    from keras import ops

    if len(logits.shape) == 3:
        labels, weights = ops.expand_dims(labels, 1), ops.expand_dims(weights, 1)
    if logits.shape[-1] == 1:
        predicted = ops.cast(logits[..., 0] > 0, "int32")
    else:
        predicted = ops.cast(ops.argmax(logits, axis=-1), "int32")
    is_correct = ops.cast(predicted == ops.cast(labels, "int32"), "float32")
    return ops.sum(is_correct * weights, axis=0)


def to_numpy(values: Any) -> list[Array]:
    """Return backend outputs (one tensor or a list) as NumPy arrays."""
    return [np.asarray(item) for item in as_list(values)]
