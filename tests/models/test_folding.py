"""Folding BatchNorm into convolutions changes no value beyond rounding, and shares the weights."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tiny
from keras import layers

from bench.models.backends.base import current_backend
from bench.models.folding import fold_batchnorm
from bench.models.network import Network, build_head, initialise_head, weighted_loss
from bench.protocol import Head, Phase, Unfreeze

pytestmark = pytest.mark.slow  # it loads a framework


def test_folded_values_by_hand() -> None:
    image = keras.Input((1, 1, 1))
    x = layers.Conv2D(1, 1, name="conv")(image)
    model = keras.Model(image, layers.BatchNormalization(epsilon=0, name="norm")(x))
    model.get_layer("conv").set_weights([np.full((1, 1, 1, 1), 3.0), np.array([1.0])])
    # gamma 2, beta 5, mean 4, variance 4: (3x + 1 - 4) / 2 * 2 + 5 = 3x + 2
    model.get_layer("norm").set_weights([np.array([v]) for v in (2.0, 5.0, 4.0, 4.0)])
    both = fold_batchnorm(model)
    output = current_backend().forward(both)(np.full((1, 1, 1, 1), 10.0, "float32"))[0]
    assert output.item() == 32.0
    assert "conv" not in {layer.name for layer in both.layers}
    # The weights are shared: what is loaded later is seen.
    model.get_layer("norm").set_weights([np.array([v]) for v in (0.0, 7.0, 4.0, 4.0)])
    output = current_backend().forward(both)(np.full((1, 1, 1, 1), 10.0, "float32"))[0]
    assert output.item() == 7.0


@pytest.mark.parametrize(
    ("filters", "options"),
    [
        (3, {}),
        (6, {"strides": 2, "padding": "same", "activation": "relu"}),
        (3, {"use_bias": False, "dilation_rate": 2}),
    ],
)
def test_a_convolution_with_one_group_per_channel_becomes_depthwise(
    filters: int, options: dict[str, Any]
) -> None:
    image = keras.Input((12, 12, 3))
    model = keras.Model(image, layers.Conv2D(filters, 3, groups=3, name="conv", **options)(image))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(-1, 1, weight.shape))
    both = fold_batchnorm(model)
    assert [layer.name for layer in both.layers][1:] == ["conv_depthwise"]
    pixels = rng.uniform(size=(4, 12, 12, 3)).astype("float32")
    expected, found = (current_backend().forward(one)(pixels)[0] for one in (model, both))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_folded_network_and_its_submodels_give_the_same_values() -> None:
    network = Network(tiny.TINY, tiny.SIZE)
    rng = np.random.default_rng(0)
    for weight in network.base.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    pixels, _ = tiny.images(8, seed=0)
    backend = current_backend()
    cuts = ["one_add", "two_add", "features"]
    plain = backend.forward(network.submodel("pixels", cuts))(pixels)
    fold = backend.forward(network.submodel("pixels", cuts, fold=True))(pixels)
    for expected, found in zip(plain, fold, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    later = backend.forward(network.submodel("two_add", ["features"], fold=True))(plain[1])[0]
    np.testing.assert_allclose(later, plain[2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "zeros", "same"),
    [
        (8, 3, 2, ((0, 1), (0, 1)), True),  # 4 windows of 3, two apart: 9 pixels
        (7, 3, 2, ((1, 1), (1, 1)), True),
        (8, 3, 2, ((1, 1), (1, 1)), False),  # as many windows, but others
        (8, 3, 1, ((1, 1), (1, 1)), True),
        (8, 5, 2, ((1, 2), (1, 2)), True),
        (8, 3, 2, ((0, 1), (1, 0)), False),
        (8, 3, 2, ((0, 3), (0, 1)), False),
    ],
)
@pytest.mark.parametrize("depthwise", [False, True])
def test_zero_padding_is_dropped_where_same_padding_is_equal(
    side: int, kernel: int, stride: int, zeros: Any, same: bool, depthwise: bool
) -> None:
    image = keras.Input((side, side, 2))
    x = layers.ZeroPadding2D(zeros, name="zeros")(image)
    kind = layers.DepthwiseConv2D if depthwise else partial(layers.Conv2D, 3)
    x = kind(kernel_size=kernel, strides=stride, name="conv")(x)
    model = keras.Model(image, layers.BatchNormalization(name="norm")(x))
    both = fold_batchnorm(model)
    assert same == ("zeros" not in {layer.name for layer in both.layers})
    assert both.output_shape == model.output_shape
    pixels = np.random.default_rng(0).random((4, side, side, 2), "float32")
    forward = current_backend().forward
    np.testing.assert_allclose(
        forward(both)(pixels)[0], forward(model)(pixels)[0], rtol=1e-5, atol=1e-5
    )


def test_zero_padding_with_another_consumer_stays() -> None:
    image = keras.Input((8, 8, 2))
    zeros = layers.ZeroPadding2D(((0, 1), (0, 1)), name="zeros")(image)
    x = layers.Conv2D(2, 3, strides=2, name="conv")(zeros)
    norm = layers.BatchNormalization(name="norm")(x)
    model = keras.Model(image, [norm, zeros])
    names = {layer.name for layer in fold_batchnorm(model).layers}
    assert "zeros" in names
    assert "conv" not in names


def test_unfoldable_pairs_stay() -> None:
    image = keras.Input((4, 4, 2))
    seen_twice = layers.Conv2D(2, 1, name="seen_twice")(image)
    norm = layers.BatchNormalization(name="norm")(seen_twice)
    active = layers.Conv2D(2, 1, activation="relu", name="active")(norm)
    after = layers.BatchNormalization(name="after")(active)
    model = keras.Model(image, layers.Add(name="end")([after, seen_twice]))
    kept = {layer.name for layer in fold_batchnorm(model).layers}
    assert {"seen_twice", "norm", "active", "after"} <= kept
    # A convolution that is itself asked for stays as well.
    cut = keras.Model(image, [seen_twice, norm])
    assert {"seen_twice", "norm"} <= {layer.name for layer in fold_batchnorm(cut).layers}


def test_a_folded_tail_trains_as_the_plain_one() -> None:
    """BatchNorm's scale multiplies the trained kernel in every step; it is not part of it."""
    phase = Phase("fine-tune", epochs=1, learning_rate=0.01, unfreeze=Unfreeze("stages", 1))
    pixels, labels = tiny.images(8, seed=0)
    weight = np.ones(8, "float32")
    backend = current_backend()

    def trained(fold: bool) -> list[np.ndarray]:
        network = Network(tiny.TINY, tiny.SIZE)
        cut = network.unfreeze(phase)
        rng = np.random.default_rng(1)
        for variable in network.base.weights:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        head = build_head(Head(dropout=0), network.features_shape, 2)
        initialise_head(head, seed=0)
        rows = backend.forward(network.submodel("pixels", [cut]))(pixels)[0]
        tail = network.tail(cut, head, phase, fold=fold)
        assert fold == any("_folded" in layer.name for layer in tail.body.layers[1].layers)
        step = backend.train_step(tail, keras.optimizers.SGD(0.01), weighted_loss)
        losses = step.fetch([step(step.put(rows, labels.astype("int32"), weight))])
        step.sync()
        return [losses, *(keras.ops.convert_to_numpy(w) for w in network.base.weights)]

    for plain, fold in zip(trained(fold=False), trained(fold=True), strict=True):
        np.testing.assert_allclose(fold, plain, rtol=1e-4, atol=1e-5)
