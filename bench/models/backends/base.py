"""What the harness needs of a Keras backend: a compiled forward pass and a compiled training step.

Everything else is Keras 3 and NumPy. One file per backend implements this; `current()` imports the
one that Keras runs on, and no other.
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
"""(labels, logits, weights) -> the weighted mean loss of the batch, or that of each copy of a head,
in backend tensors. The sum of several is what is minimised."""


@dataclass(frozen=True)
class DeviceInfo:
    """Where the arithmetic runs."""

    kind: str  # "cpu" or "gpu"
    name: str
    count: int
    framework: str  # such as "tensorflow 2.21.0"


class Forward(Protocol):
    """A compiled inference pass: one host batch in, every output fetched to the host."""

    @property
    def any_size(self) -> bool:
        """Whether one compilation serves batches of any size; else the last one is padded."""

    def compile(self, batch: Array) -> None:
        """Trace and compile for batches shaped like this one, without computing anything."""

    def __call__(self, batch: Array) -> list[Array]: ...


class Step(Protocol):
    """One model, one optimizer, compiled; trained values live inside until `sync`."""

    @property
    def any_size(self) -> bool:
        """As of a forward pass."""

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        """Trace and compile for batches shaped like this one, without training on it."""

    def put(self, *batch: Any) -> Any:
        """Start moving images, labels, weights (and a share) to the device."""

    def fetch(self, results: Sequence[Any]) -> Array:
        """Wait for the steps and return their (loss, correct) rows on the host."""

    def sync(self) -> None:
        """Write the trained values back into the Keras variables."""


class TrainStep(Step, Protocol):
    """Gradients and update in one compiled function."""

    def __call__(self, batch: Any) -> Any:
        """Train on one batch; return loss and number of correct answers, still on the device."""


class GradientStep(Step, Protocol):
    """Gradients of several parts of a batch, added up, then one update.

    Keras' own `gradient_accumulation_steps` does not replace this. It divides by a fixed number of
    parts, so a shorter last batch of an epoch would have to be padded with whole parts, which
    trained BatchNorm would see. And where a loss-scaling optimizer (mixed_float16) meets a gradient
    that is not finite, it skips that part without counting it: from then on every update would
    mix parts of two batches.
    """

    def add(self, part: Any) -> Any:
        """Add up the gradients of a part, put with its share of the batch's weight; return its
        share of the loss and its number of correct answers."""

    def apply(self) -> None:
        """Update the weights by the sum, and start a new one."""


@dataclass(frozen=True)
class Backend:
    """What one Keras backend makes of a model, and what it knows of its device."""

    faster: Callable[[Any], Any]
    """Return a model of the same function over the same weights, in operations that take less time
    here: for the harness' own work, not for what is timed."""
    adam: Any
    """The class of Adam: Keras' own, or one that computes the same in less time."""
    building: Callable[[], AbstractContextManager[None]]
    """The context to build a network in."""
    forward: Callable[[Any], Forward]
    train_step: Callable[[Any, Any, LossFunction], TrainStep]
    """From a model, its optimizer and its loss; so is the next."""
    gradient_step: Callable[[Any, Any, LossFunction], GradientStep]
    device: Callable[[], DeviceInfo]
    memory_peak: Callable[[], int | None]
    """Return the most bytes in use on the first GPU since the process began; `None` without a
    GPU."""
    make_deterministic: Callable[[], None]
    """Ask for operations that give the same result every time, for the rest of the process."""


def current() -> Backend:
    """Return the backend that Keras runs on in this process."""
    import keras

    name = keras.config.backend()
    if name not in KERAS_BACKENDS:
        raise UsageError(f"KERAS_BACKEND={name} is not supported; use tensorflow, jax or torch.")
    module = importlib.import_module(f"bench.models.backends.{name}_backend")
    return cast(Backend, module.BACKEND)


def start(preferred: str = "") -> Backend:
    """Import Keras and the framework, without what that prints; on another backend than `preferred`
    where the user names one or that is not installed."""
    set_framework_defaults(preferred)
    with suppress_stderr():
        return current()


def correct(labels: Any, logits: Any, weights: Any) -> Any:
    """Return how many of the batch's real images were classified correctly, as a backend tensor;
    of several copies of a head (images x copies x units), one number for each."""
    from keras import ops

    if len(logits.shape) == 3:
        labels, weights = ops.expand_dims(labels, 1), ops.expand_dims(weights, 1)
    if logits.shape[-1] == 1:
        guess = ops.cast(logits[..., 0] > 0, "int32")
    else:
        guess = ops.cast(ops.argmax(logits, axis=-1), "int32")
    right = ops.cast(guess == ops.cast(labels, "int32"), "float32")
    return ops.sum(right * weights, axis=0)


def host(values: Any) -> list[Array]:
    """Return backend outputs (one tensor or a list) as host arrays."""
    return [np.asarray(item) for item in as_list(values)]
