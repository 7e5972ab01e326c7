"""The network of a backbone: preprocessing, backbone, pooling and head, and submodels of it.

All models built here share their layers, so training a submodel trains the whole. This module
imports Keras, so only worker processes may import it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from bench.models.backends.base import Array, current_backend
from bench.models.cuts import FEATURES, PIXELS, as_list, cut_for, operation_labels, trained_layers
from bench.models.published import IMAGENET, application_name
from bench.protocol import Head, Phase
from bench.registry import resolve
from bench.types import Backbone

# Random backbone weights are the same for every training seed: only the training varies, and the
# activations of the frozen part can be shared.
RANDOM_WEIGHTS_SEED = 0
POOLINGS = {
    "average": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
    "flatten": layers.Flatten,
}
DROPOUT_STRIDE = 1_000_003  # between the seeds of the dropout layers of one model


class Network:
    """A backbone at one input size, from uint8 pixels to pooled features."""

    def __init__(self, backbone: Backbone, input_size: int, pooling: str = "average") -> None:
        self.backbone = backbone
        self.input_size = input_size
        self.precision: str = keras.config.dtype_policy().name  # of every layer built here
        seed_initializers(keras.backend.backend(), RANDOM_WEIGHTS_SEED)
        shape = (input_size, input_size, 3)
        with current_backend().building_context():
            self.base = network_builder(backbone)(
                input_shape=shape, include_top=False, weights=None
            )
        self.image = keras.Input(shape, dtype="uint8", name="image")
        preprocessed = resolve(backbone.preprocess)(ops.cast(self.image, "float32"))
        self.preprocess = keras.Model(self.image, preprocessed, name="preprocess")
        self.pooling, self.pool = pooling, POOLINGS[pooling](name="pool")
        self.features_shape = tuple(self.pool(self.base.output).shape[1:])
        self._order = {label: i for i, label in enumerate(operation_labels(self.base))}
        self.last_feature_map = max(self._order, key=self._order.__getitem__)  # a cut

    def depth(self, cut: str) -> int:
        """Return the position of a cut, which grows with depth; -1 for `PIXELS`."""
        if cut == PIXELS:
            return -1
        return len(self._order) if cut == FEATURES else self._order[cut]

    def shape(self, cut: str) -> tuple[int, ...]:
        """Return the shape of the tensor at a cut, without the batch dimension."""
        if cut == PIXELS:
            return (self.input_size, self.input_size, 3)
        return self.features_shape if cut == FEATURES else tuple(self._tensor(cut).shape[1:])

    def submodel(self, source: str, targets: Sequence[str], *, fold: bool = False) -> Any:
        """Return the model from the cut `source` to the deeper cuts `targets`.

        It shares this network's layers. With `fold` it is optimised for the backend: frozen
        BatchNorm is folded into the convolutions.
        """
        start = keras.Input(self.shape(source), dtype="uint8" if source == PIXELS else None)
        value = self.preprocess(start) if source == PIXELS else start
        inner_input = self.base.input if source == PIXELS else self._tensor(source)
        inner = keras.Model(inner_input, [self._tensor(target) for target in targets])
        inner = current_backend().optimise(inner) if fold else inner
        outputs = [
            self.pool(v) if target == FEATURES else v
            for v, target in zip(as_list(inner(value)), targets, strict=True)
        ]
        return keras.Model(start, outputs)

    def tail(self, cut: str, head: Any, phase: Phase, *, fold: bool = False) -> Tail:
        """Return the model that a phase trains, from `cut` to the logits.

        With `fold`, BatchNorm is folded into the convolutions unless the phase trains it.
        """
        trains_batchnorm = phase.batchnorm == "trained"
        fold = fold and not trains_batchnorm
        body = None if cut == FEATURES else self.submodel(cut, [FEATURES], fold=fold)
        return Tail(body, head, trains_batchnorm=trains_batchnorm)

    def classifier(self, head: Any) -> Any:
        """Return the whole model as deployed, from uint8 pixels to class probabilities."""
        features = self.pool(self.base(self.preprocess(self.image), training=False))
        logits = head(features, training=False)
        activation = "sigmoid" if logits.shape[-1] == 1 else "softmax"
        return keras.Model(self.image, layers.Activation(activation, dtype="float32")(logits))

    def unfreeze(self, phase: Phase) -> str:
        """Make exactly the layers trainable that the phase trains, and return the phase's cut."""
        trained = {id(x) for x in trained_layers(self.backbone, self.base, phase.unfreeze)}
        for layer in self.base.layers:
            # Set on each layer: setting it on the model a second time does not reach the layers.
            layer.trainable = id(layer) in trained
        if phase.batchnorm != "trained":
            for norm in batchnorms(self.base.layers):
                norm.trainable = False
        return cut_for(self.backbone, self.base, phase.unfreeze)

    def _tensor(self, cut: str) -> Any:
        if cut == FEATURES:
            return self.base.output
        return self.base.operations[self._order[cut]].output


class Tail(keras.Model):  # type: ignore[misc]
    """The trained part of the network: the unfrozen layers (`body`), if any, and the head.

    With frozen BatchNorm the unfrozen layers run in inference mode, as in Keras' transfer-learning
    guide: batch statistics and stochastic depth do not disturb the pretrained layers.
    """

    def __init__(self, body: Any, head: Any, *, trains_batchnorm: bool) -> None:
        super().__init__()
        self.body, self.head, self.trains_batchnorm = body, head, trains_batchnorm
        self.built = True  # its parts are; to build it, Keras would compute all shapes once more

    def call(self, inputs: Any, training: bool = False) -> Any:
        features = inputs
        if self.body is not None:
            (features,) = as_list(self.body(inputs, training=training and self.trains_batchnorm))
        return self.head(features, training=training)

    def weights_per_copy(self) -> list[list[Any]]:
        """Return one list, the variables that training changes: a tail is a single copy."""
        return [list(self.variables if self.trains_batchnorm else self.trainable_variables)]


def network_builder(backbone: Backbone) -> Callable[..., Any]:
    """Return the function that builds the network in the form that its weights were trained in."""
    build = resolve(backbone.build)
    name = application_name(backbone.build)
    scaled = backbone.weights == IMAGENET and name.startswith("EfficientNetB")
    return partial(_build_rescaled, build) if scaled else build


def _build_rescaled(
    build: Callable[..., Any], *, input_shape: tuple[int, int, int], **options: Any
) -> Any:
    """Build an EfficientNet with the division by sqrt(stddev) that its published weights need.

    Keras adds this layer only when it loads the weights itself. Without it the first convolution
    would get pixels at half the scale that it was trained with, without any error.
    """
    scale = [1 / math.sqrt(s) for s in (0.229, 0.224, 0.225)]
    rescale = layers.Rescaling(scale, name="stddev")

    def call(layer: keras.Layer, *inputs: Any, **arguments: Any) -> Any:
        outputs = layer(*inputs, **arguments)
        return rescale(outputs) if isinstance(layer, layers.Normalization) else outputs

    network = build(input_shape=input_shape, **options)
    pixels = keras.Input(input_shape)
    return keras.models.clone_model(network, input_tensors=pixels, call_function=call)


def seed_initializers(keras_backend: str, seed: int) -> None:
    """Seed the random generators of weight initializers.

    `keras.utils.set_random_seed` gives the same weights, but imports TensorFlow wherever it is
    installed, which takes 1.5 s of processor time in each process of another backend.
    """
    if keras_backend == "tensorflow":
        keras.utils.set_random_seed(seed)
        return
    random.seed(seed)  # Keras draws the seeds of its initializers from this generator
    np.random.seed(seed)
    if keras_backend == "torch":
        import torch

        torch.manual_seed(seed)


def batchnorms(layers_: Iterable[Any]) -> list[Any]:
    """Return the BatchNorm layers among these layers and nested in them."""
    flattened = [inner for layer in layers_ for inner in layer._flatten_layers()]
    return [layer for layer in flattened if isinstance(layer, layers.BatchNormalization)]


def build_head(head: Head, features_shape: tuple[int, ...], classes: int) -> Any:
    """Build the head, from features to logits: one per class, or a single one for two classes
    unless the protocol asks for softmax."""
    units = 1 if classes == 2 and head.output != "softmax" else classes
    stack: list[Any] = [keras.Input(features_shape)]
    stack += [layers.Dense(n, activation="relu") for n in head.hidden]
    if head.dropout:
        # Any seed will do, as each training resets it; without one, PyTorch uses a generator that
        # is never seeded.
        stack.append(layers.Dropout(head.dropout, seed=0))
    stack.append(layers.Dense(units, dtype="float32"))  # logits are float32 in every precision
    with current_backend().building_context():
        return keras.Sequential(stack, name="head")


def initialise_head(head: Any, seed: int) -> None:
    """Draw the head's weights from `seed` alone, so that they are the same on every backend."""
    rng = np.random.default_rng([seed, 0])
    for layer in head.layers:
        if isinstance(layer, layers.Dense):
            inputs, units = layer.kernel.shape
            limit = math.sqrt(6 / (inputs + units))
            layer.kernel.assign(rng.uniform(-limit, limit, (inputs, units)).astype("float32"))
            layer.bias.assign(np.zeros(units, "float32"))
    seed_dropout(head, seed)


def seed_dropout(model: Any, seed: int) -> None:
    """Reset the random states of dropout and similar layers, which training advances."""
    for number, state in enumerate(random_states(model)):
        start = (seed + number * DROPOUT_STRIDE) % 2**32
        state.assign(np.array([start, 0], "uint32"))


def random_states(model: Any) -> list[Any]:
    """Return the random state variables of dropout and similar layers."""
    weights = {id(variable) for variable in model.weights}
    # The other variables are states of metrics or of random generators.
    others = [variable for variable in model.variables if id(variable) not in weights]
    return [v for v in others if "int" in v.dtype and tuple(v.shape) == (2,)]


def weighted_loss(labels: Any, logits: Any, weights: Any) -> Any:
    """Return the weighted mean cross-entropy of a batch; padding has weight zero.

    For logits of several copies of a head (images x copies x units), return one loss per copy.
    """
    logits = ops.cast(logits, "float32")
    total_weight = ops.sum(weights)
    if len(logits.shape) == 3:
        labels = ops.repeat(ops.expand_dims(labels, 1), logits.shape[1], axis=1)
        weights = ops.expand_dims(weights, 1)
    if logits.shape[-1] == 1:
        targets = ops.cast(labels, "float32")
        losses = ops.binary_crossentropy(targets, logits[..., 0], from_logits=True)
    else:
        losses = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return ops.sum(losses * weights, axis=0) / total_weight


def count_macs(model: Any) -> float:
    """Return the multiply-accumulate operations for one image; NaN if they cannot be counted.

    Each kernel weight is used once per position of its layer's output. By convention, biases,
    normalization, activations and pooling are not counted. A layer that contains other layers or
    PyTorch modules cannot be counted, as the shapes inside it are not known.
    """
    total = 0.0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += count_macs(layer)
            continue
        matrices = [weight for weight in layer.weights if len(weight.shape) > 1]
        own = kernels(layer)
        is_nested = any(inner.weights for inner in layer._flatten_layers(include_self=False))
        if matrices and (is_nested or len(matrices) > len(own)):
            return math.nan
        total += math.prod(layer.output.shape[1:-1]) * sum(math.prod(k.shape) for k in own)
    return total


def kernels(layer: Any) -> list[Any]:
    """Return the kernels of a layer: the weights that multiply its input."""
    return [weight for weight in layer.weights if weight.name.endswith("kernel")]


def snapshot(variables: Sequence[Any]) -> list[Array]:
    """Return copies of the values of Keras variables as NumPy arrays."""
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def restore(variables: Sequence[Any], values: Sequence[Array]) -> None:
    """Assign the values of a `snapshot` to the variables."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
