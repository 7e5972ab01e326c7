"""What the harness asks of a Keras backend: a compiled forward pass and a compiled training step.

Everything else is Keras 3 and NumPy. One file a backend implements this; `current()` imports the
one that Keras runs on, and no other.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bench.errors import UsageError
from bench.system.frameworks import KERAS_BACKENDS

Array = NDArray[Any]
LossFunction = Callable[[Any, Any, Any], Any]
"""(labels, logits, weights) -> the weighted mean loss of the batch, in backend tensors."""


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
        """Whether one compilation is for batches of any size; else the last one is filled up."""

    def compile(self, batch: Array) -> None:
        """Trace and compile for batches shaped like this one, without computing anything."""

    def __call__(self, batch: Array) -> list[Array]: ...


class TrainStep(Protocol):
    """One model, one optimizer, one compiled step; weights live inside until `sync`."""

    @property
    def any_size(self) -> bool:
        """As of a forward pass."""

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        """Trace and compile for batches shaped like these, without training on them."""

    def put(self, x: Array, y: Array, weight: Array) -> Any:
        """Begin moving a batch to the device."""

    def __call__(self, batch: Any) -> Any:
        """Train on one batch; the result is the loss and correct answers, still on the device."""

    def fetch(self, results: Sequence[Any]) -> Array:
        """Wait for the steps and return their (loss, correct) rows on the host."""

    def sync(self) -> None:
        """Write the trained values back into the Keras variables."""


class GradientStep(Protocol):
    """A training step taken apart: the gradients of several parts of a batch, then one update."""

    @property
    def any_size(self) -> bool:
        """As of a forward pass."""

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        """Trace and compile for parts shaped like this one, without training on it."""

    def put(self, x: Array, y: Array, weight: Array, share: float) -> Any:
        """Begin moving a part, which has this share of its batch's weight, to the device."""

    def add(self, part: Any) -> Any:
        """Add up gradients; the result is the part's share of the loss, and correct answers."""

    def apply(self) -> None:
        """Change the weights by what was added up, and begin anew."""

    def fetch(self, results: Sequence[Any]) -> Array:
        """Wait for the parts and return their (loss, correct) rows on the host."""

    def sync(self) -> None:
        """Write the trained values back into the Keras variables."""


class Backend(Protocol):
    """One Keras backend.

    `gains_from_folding`: whether BatchNorm is worth folding into convolutions. A compiler that
    fuses across operations by itself does not gain, and loses a little on CPU.
    """

    @property
    def gains_from_folding(self) -> bool: ...

    def forward(self, model: Any) -> Forward: ...

    def train_step(self, model: Any, optimizer: Any, loss: LossFunction) -> TrainStep: ...

    def gradient_step(self, model: Any, optimizer: Any, loss: LossFunction) -> GradientStep: ...

    def device(self) -> DeviceInfo: ...

    def memory_peak(self) -> int | None:
        """Bytes taken on the first GPU at most since the process began; `None` without one."""

    def make_deterministic(self) -> None:
        """Ask for operations that give the same result every time, for the rest of the process."""


def current() -> Backend:
    """The backend that Keras runs on in this process."""
    import keras

    name = keras.config.backend()
    if name not in KERAS_BACKENDS:
        raise UsageError(f"KERAS_BACKEND={name} is not supported; use tensorflow, jax or torch.")
    module = importlib.import_module(f"bench.models.backends.{name}_backend")
    return cast(Backend, module.BACKEND)


def correct(labels: Any, logits: Any, weights: Any) -> Any:
    """How many of the batch's real images were classified rightly, as a backend tensor."""
    from keras import ops

    if logits.shape[-1] == 1:
        guess = ops.cast(logits[:, 0] > 0, "int32")
    else:
        guess = ops.cast(ops.argmax(logits, axis=-1), "int32")
    return ops.sum(ops.cast(guess == ops.cast(labels, "int32"), "float32") * weights)


def host(values: Any) -> list[Array]:
    """Backend outputs (one tensor or a list) as host arrays."""
    items = values if isinstance(values, list | tuple) else [values]
    return [np.asarray(item) for item in items]
