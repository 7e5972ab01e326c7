"""PyTorch's training step in two: gradients that are added up, and their application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import torch

from bench.models.backends.base import Array, LossFunction, correct


class GradientStep:
    """See `GradientStep` in `base.py`; PyTorch adds gradients up unless they are cleared."""

    any_size = True

    def __init__(self, model: Any, optimizer: Any, loss: LossFunction) -> None:
        self._model, self._optimizer, self._loss = model, optimizer, loss
        self._variables = model.trainable_variables
        optimizer.build(self._variables)

    def compile(self, x: Array, y: Array, weight: Array) -> None:
        """PyTorch runs eagerly: there is nothing to compile."""

    def put(self, x: Array, y: Array, weight: Array, share: float) -> Any:
        items = (x, y, weight, np.float32(share))
        return tuple(keras.ops.convert_to_tensor(item) for item in items)

    def add(self, part: Any) -> Any:
        x, y, weight, share = part
        logits = self._model(x, training=True)
        value = self._loss(y, logits, weight) * share
        self._optimizer.scale_loss(value).backward()
        with torch.no_grad():
            return torch.stack([value.detach(), correct(y, logits, weight)])

    def apply(self) -> None:
        with torch.no_grad():
            self._optimizer.apply([v.value.grad for v in self._variables], self._variables)
        self._model.zero_grad()

    def fetch(self, results: Sequence[Any]) -> Array:
        return np.asarray(torch.stack(list(results)).cpu())

    def sync(self) -> None:
        """The Keras variables are the trained ones already."""
