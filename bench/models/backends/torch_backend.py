"""The PyTorch backend. It must not import TensorFlow, which may not be installed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import torch

from bench.models.backends.base import Array, Backend, DeviceInfo, LossFunction, count_correct
from bench.models.cuts import as_list
from bench.models.folding import fold_batchnorm


class _Forward:
    any_size = True

    def __init__(self, model: Any) -> None:
        self._model = model

    def compile(self, batch: Array) -> None:
        """Do nothing: PyTorch runs eagerly."""

    def __call__(self, batch: Array) -> list[Array]:
        with torch.no_grad():
            outputs = self._model(keras.ops.convert_to_tensor(batch), training=False)
        return [keras.ops.convert_to_numpy(item) for item in as_list(outputs)]


class _Step:
    """Both kinds of step in one: PyTorch accumulates gradients until they are cleared."""

    any_size = True

    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        self._model, self._optimizer, self._loss = model, optimizer, loss
        self._variables = model.trainable_variables
        optimizer.build(self._variables)

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        """Do nothing: PyTorch runs eagerly."""

    def put(self, *batch: Any) -> Any:
        return tuple(keras.ops.convert_to_tensor(item) for item in batch)

    def add(self, part: Any) -> Any:
        x, y, weight, *share = part
        logits = self._model(x, training=True)
        value = self._loss(y, logits, weight)
        value = value * share[0] if share else value
        self._optimizer.scale_loss(value.sum()).backward()
        with torch.no_grad():
            return torch.stack([value.detach(), count_correct(y, logits, weight)])

    def apply(self) -> None:
        with torch.no_grad():
            self._optimizer.apply([v.value.grad for v in self._variables], self._variables)
        self._model.zero_grad()

    def __call__(self, batch: Any) -> Any:
        self._model.zero_grad()  # clears gradients of an interrupted step
        result = self.add(batch)
        self.apply()
        return result

    def fetch(self, results: Sequence[Any]) -> Array:
        return np.asarray(torch.stack(list(results)).cpu())

    def sync(self) -> None:
        """Do nothing: the step trains the Keras variables themselves."""


def _device() -> DeviceInfo:
    gpu = torch.cuda.is_available()
    name = torch.cuda.get_device_name(0) if gpu else ""
    count = torch.cuda.device_count() if gpu else 1
    return DeviceInfo("gpu" if gpu else "cpu", name, count, f"torch {torch.__version__}")


def _memory_peak() -> int | None:
    return torch.cuda.max_memory_allocated(0) if torch.cuda.is_available() else None


BACKEND = Backend(
    optimise=fold_batchnorm,
    adam=keras.optimizers.Adam,
    building_context=nullcontext,
    forward=_Forward,
    train_step=_Step,
    gradient_step=_Step,
    device=_device,
    memory_peak=_memory_peak,
    make_deterministic=lambda: torch.use_deterministic_algorithms(True),
)
