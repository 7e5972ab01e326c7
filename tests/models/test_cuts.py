"""Clean cuts, the cut of each phase, and the layers that a phase trains."""

from __future__ import annotations

import math
from dataclasses import replace

import keras
import pytest
import tiny
from keras import layers, ops
from workbench import job_of

from bench.errors import TrialError
from bench.models.cuts import (
    FEATURES,
    PIXELS,
    clean_cuts,
    cut_for,
    operation_labels,
    stage_ends,
    trained_layers,
)
from bench.models.network import Network, count_macs
from bench.protocol import BatchNorm, Head, Phase, TrainingProtocol, Unfreeze
from bench.registry import BACKBONES
from bench.training.prepared import prepare_model

pytestmark = pytest.mark.slow  # it loads a framework


def test_clean_cuts_by_hand() -> None:
    # a -> b -> (c, d) -> e: after c or d alone, the other branch still needs b.
    a = keras.Input((4,), name="a")
    b = layers.Dense(4, name="b")(a)
    c = layers.Dense(4, name="c")(b)
    d = layers.Dense(4, name="d")(b)
    e = layers.Add(name="e")([c, d])
    assert clean_cuts(keras.Model(a, e)) == [0, 1, 4]  # a, b, e
    # A shortcut from the input leaves nothing between to cut.
    f = layers.Add(name="f")([e, a])
    assert clean_cuts(keras.Model(a, f)) == [0, 5]  # a, f


def test_where_each_phase_is_cut() -> None:
    model = Network(tiny.TINY, tiny.SIZE).base
    names = [layer.name for layer in model.layers]

    def cut(kind: str, count: int = 0) -> str:
        return cut_for(tiny.TINY, model, Unfreeze(kind, count))  # type: ignore[arg-type]

    assert cut("none") == FEATURES
    assert cut("all") == PIXELS
    assert cut("stages", 1) == "three_join"
    assert cut("stages", 3) == "one_add"
    assert cut("stages", 4) == cut("stages", 9) == PIXELS
    # The second branch of stage three is trained, so the cut lies before both branches.
    assert cut("from_layer", names.index("three_right")) == "two_add"
    assert cut("from_layer", names.index("four_conv")) == "three_join"
    assert cut("from_layer", 0) == PIXELS
    with pytest.raises(TrialError, match="leaves nothing to train"):
        cut("from_layer", len(names))


def test_cuts_with_operations_that_are_not_layers_and_ends_without_weights() -> None:
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(2, 1, name="first")(image)
    x = ops.relu(x)
    x = layers.Conv2D(2, 1, name="second")(x)
    model = keras.Model(image, layers.ReLU(name="end")(x))

    def cut(count: int) -> str:
        return cut_for(tiny.TINY, model, Unfreeze("from_layer", count))

    assert [layer.name for layer in model.layers] == ["image", "first", "second", "end"]
    assert cut(2) == "relu@2"  # Keras named it
    with pytest.raises(TrialError, match="no weights from layer 3 on"):
        cut(3)


@pytest.mark.parametrize("batchnorm", ["frozen", "trained"])
def test_unfreezing_trains_only_the_weights_of_the_phase(batchnorm: BatchNorm) -> None:
    network = Network(tiny.TINY, tiny.SIZE)
    phase = Phase("p", 1, 0.1, unfreeze=Unfreeze("stages", 1), batchnorm=batchnorm)
    network.unfreeze(phase)
    trained = {layer.name for layer in network.base.layers if layer.trainable_variables}
    convolutions = {"four_conv", "four_depthwise"}
    norms = {"four_bn", "four_bn2"} if batchnorm == "trained" else set()
    assert trained == convolutions | norms
    network.unfreeze(Phase("p", 1, 0.1))
    assert not any(layer.trainable_variables for layer in network.base.layers)


class Block(layers.Layer):  # type: ignore[misc]
    """A layer with BatchNorm inside."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = layers.Conv2D(4, 3, strides=2)
        self.norm = layers.BatchNormalization()

    def call(self, x: object, training: bool = False) -> object:
        return self.norm(self.conv(x), training=training)


@pytest.mark.parametrize("batchnorm", ["frozen", "trained"])
def test_batchnorm_nested_in_a_layer_is_frozen_too(batchnorm: BatchNorm) -> None:
    def build(*, input_shape: tuple[int, int, int], **options: object) -> keras.Model:
        image = keras.Input(input_shape)
        return keras.Model(image, Block()(image))

    network = Network(replace(tiny.TINY, build=build, stages=("output",)), tiny.SIZE)
    network.unfreeze(Phase("p", 1, 0.1, unfreeze=Unfreeze("all"), batchnorm=batchnorm))
    trained = {variable.name for variable in network.base.trainable_variables}
    norms = {"gamma", "beta"} if batchnorm == "trained" else set()
    assert trained == {"kernel", "bias"} | norms


def test_macs_of_a_nested_layer_are_nan() -> None:
    image = keras.Input((9, 9, 3))
    convolved = layers.Conv2D(4, 3, strides=2)(image)
    assert count_macs(keras.Model(image, convolved)) == 4 * 4 * (3 * 3 * 3 * 4)
    assert math.isnan(count_macs(keras.Model(image, Block()(convolved))))
    inner = keras.Model(image, Block()(image))
    assert math.isnan(count_macs(keras.Model(image, inner(image))))


def test_trained_layers_of_a_layer_number() -> None:
    model = Network(tiny.TINY, tiny.SIZE).base
    assert trained_layers(tiny.TINY, model, Unfreeze("from_layer", 5)) == model.layers[5:]


def test_stages_by_name_position_label_and_output() -> None:
    network = Network(tiny.TINY, tiny.SIZE).base
    called = [layer.name for layer in network.operations]
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Conv2D(4, 1)(layers.Conv2D(2, 1)(image)))

    def ends(model: keras.Model, *stages: str | int) -> list[int]:
        return stage_ends(replace(tiny.TINY, stages=stages), model)

    place = called.index("two_add")
    assert ends(network, "two_add", "output") == ends(network, place, "four_add")
    assert ends(network, place, "output") == [place, len(called) - 1]
    assert operation_labels(model) == ["input_layer@0", "conv2d@1", "conv2d@2"]
    assert ends(model, "conv2d@1", "output") == [1, 2]
    with pytest.raises(TrialError, match=r"^tiny: stage 3 is not a layer of this network"):
        ends(model, 3)


def test_an_unknown_stage_is_an_error() -> None:
    """Also if no phase is cut there: this phase starts from the end of the third stage."""
    wrong = replace(tiny.TINY, name="wrong", stages=("one_ad", "two_add", "three_join", "four_add"))
    phase = Phase("p", 1, 0.1, unfreeze=Unfreeze("stages", 1))
    job = job_of("wrong", TrainingProtocol("p", "", Head(), (phase,)))
    BACKBONES.add(wrong)
    try:
        with pytest.raises(TrialError) as raised:
            prepare_model(job)
    finally:
        BACKBONES.remove("wrong")

    assert str(raised.value) == (
        "wrong: stage 'one_ad' is not a layer of this network; the closest name is 'one_add'."
    )
