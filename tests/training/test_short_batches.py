"""The last, smaller batch of an epoch: padded if its size would need a compilation, else short; the
training is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from workbench import train_tail

from bench.models.backends.base import Array, Forward, TrainStep, current_backend
from bench.protocol import Phase, Unfreeze
from bench.training.rows import StoredRows, predict

pytestmark = pytest.mark.slow  # it loads a framework

PHASE = Phase("phase", epochs=2, learning_rate=0.1, optimizer="sgd", unfreeze=Unfreeze("stages", 1))
BATCH, IMAGES = 8, 21
FORWARD = 32  # images per forward pass


class _Seen:
    """Wraps a forward pass or training step, records batch sizes, and sets `any_size`."""

    def __init__(self, inner: Any, sizes: list[int], *, any_size: bool) -> None:
        self._inner, self._sizes, self.any_size = inner, sizes, any_size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put(self, x: Array, y: Array, weight: Array) -> Any:
        self._sizes.append(len(x))
        return self._inner.put(x, y, weight)

    def __call__(self, batch: Any) -> Any:
        if isinstance(batch, np.ndarray):
            self._sizes.append(len(batch))
        return self._inner(batch)


class _Watched:
    """Wraps the current backend, as if its functions took any batch size, or only one."""

    def __init__(self, *, any_size: bool) -> None:
        self.trained: list[int] = []
        self.answered: list[int] = []
        inner = current_backend()

        def forward(model: Any) -> Forward:
            return _Seen(inner.forward(model), self.answered, any_size=any_size)

        def train_step(*arguments: Any) -> TrainStep:
            return _Seen(inner.train_step(*arguments), self.trained, any_size=any_size)

        self.backend = replace(inner, forward=forward, train_step=train_step)


def test_training_is_the_same_with_a_short_or_a_padded_last_batch() -> None:
    short, full = _Watched(any_size=True), _Watched(any_size=False)
    one = train_tail(short.backend, PHASE, IMAGES, BATCH)
    other = train_tail(full.backend, PHASE, IMAGES, BATCH)
    assert short.trained == 2 * [8, 8, 5]
    assert full.trained == 2 * [8, 8, 8]
    assert (set(short.answered), set(full.answered)) == ({IMAGES}, {FORWARD})
    np.testing.assert_allclose(one.batch_losses, other.batch_losses, rtol=1e-5)
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("any_size", [True, False])
def test_every_row_is_predicted_once(any_size: bool) -> None:
    backend = _Watched(any_size=any_size).backend
    image = keras.Input((4,))
    forward = backend.forward(keras.Model(image, keras.layers.ReLU()(image)))
    rows = np.arange(40 * 4, dtype="float32").reshape(40, 4)
    np.testing.assert_array_equal(predict(forward, StoredRows(rows)), rows)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="it counts TensorFlow's traces")
def test_one_trace_serves_batches_of_any_size() -> None:
    image = keras.Input((4,))
    traces = []

    class Counted(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            traces.append(1)
            return x

    model = keras.Model(image, keras.layers.Dense(2)(Counted()(image)))
    step = current_backend().train_step(
        model, keras.optimizers.SGD(0.1), lambda y, logits, weight: keras.ops.mean(logits)
    )
    x, y, weight = np.ones((8, 4), "float32"), np.zeros(8, "int32"), np.ones(8, "float32")
    before = len(traces)
    step.compile(x, y, weight)
    for count in (8, 3, 5):
        step(step.put(x[:count], y[:count], weight[:count]))
    assert len(traces) == before + 1
