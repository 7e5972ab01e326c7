"""The backbone under check, built once at each of two sizes, with a few images.

A builder or preprocessing function that raises or returns an unusable result becomes a `CheckError`
here. The behaviour of a network that builds is tested by the checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np
from keras import ops

from bench.errors import BenchError, CheckError
from bench.models.backends.base import Array, current_backend
from bench.models.cuts import PIXELS, as_list, operation_labels, stage_ends
from bench.models.network import Network, batchnorms, build_head, initialise_head, network_builder
from bench.protocol import Head, Phase
from bench.registry import resolve
from bench.types import Backbone, Reference

IMAGES = 8
HEAD_PHASE = Phase("head", epochs=1, learning_rate=1e-3)
STEP_BETWEEN_SIZES = 32  # px; a valid step for any network that takes several sizes


class Subject:
    """One backbone under check: its networks and inputs, made when a check first needs them."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.backend = current_backend()
        self._guarded = replace(
            backbone,
            build=partial(_build, backbone),
            preprocess=partial(apply_preprocessing, backbone.preprocess),
        )

    @property
    def size(self) -> int:
        """Return the input size at which the network is run: its minimum if that is smaller than
        the declared size, otherwise a larger one."""
        own, least = self.backbone.input_size, self.backbone.minimum_size
        return least if least < own else own + STEP_BETWEEN_SIZES

    @cached_property
    def built(self) -> Network:
        """Return the network at `size`, with its initial random weights."""
        return Network(self._guarded, self.size)

    @cached_property
    def network(self) -> Network:
        """Return the network to run, with BatchNorm calibrated so that outputs differ by image."""
        calibrate_batchnorm(self.built, self.images)
        return self.built

    @cached_property
    def declared_size_model(self) -> Any:
        """Return the Keras model at the declared input size; it is inspected and never run."""
        return Network(self._guarded, self.backbone.input_size).base

    @cached_property
    def head(self) -> Any:
        """Return a softmax head over two classes."""
        head = build_head(Head(output="softmax"), self.network.features_shape, len(set(LABELS)))
        initialise_head(head, seed=0)
        return head

    @cached_property
    def images(self) -> Array:
        """Return images made of a few random colour patches, so that they differ clearly."""
        patches = np.random.default_rng(0).integers(0, 256, (IMAGES, 4, 4, 3), dtype="uint8")
        side = -(-self.size // 4)
        return patches.repeat(side, axis=1).repeat(side, axis=2)[:, : self.size, : self.size]

    @cached_property
    def stages(self) -> list[str]:
        """Return the labels of the operations at which the stages end."""
        called = operation_labels(self.built.base)
        return [called[end] for end in stage_ends(self.backbone, self.built.base)]

    @cached_property
    def at_stages(self) -> dict[str, Array]:
        """Return the output of each stage, by label, computed without compilation."""
        base, pixels = self.network.base, self.network.preprocess(self.images)
        ends = [base.operations[end].output for end in stage_ends(self.backbone, base)]
        outputs = as_list(keras.Model(base.input, ends)(pixels, training=False))
        return dict(zip(self.stages, map(to_array, outputs), strict=True))

    @cached_property
    def tail(self) -> Any:
        """Return the whole network with its head, frozen as for a phase that trains the head."""
        return self.network.tail(PIXELS, self.head, HEAD_PHASE)

    @cached_property
    def classifier(self) -> Any:
        """Return the model as it is deployed, from uint8 pixels to predictions."""
        return self.network.classifier(self.head)


LABELS: Array = np.arange(IMAGES) % 2


def apply_preprocessing(reference: Reference, images: Any) -> Any:
    """Apply a preprocessing function to a symbolic batch; `CheckError` if it is wrong."""
    function = _resolve("preprocess", reference)
    try:
        output = function(images)
    except Exception as error:
        raise CheckError(
            f"preprocess raised {describe_error(error)}\n"
            f"It must transform a float32 batch of RGB in 0..255 with Keras operations."
        ) from error
    if not isinstance(output, keras.KerasTensor):
        raise CheckError(
            f"preprocess returned {type(output).__name__}, not a tensor; return the images."
        )
    if output.shape != images.shape or not _is_float(output):
        raise CheckError(
            f"preprocess returned {output.dtype} {output.shape} for {images.dtype} {images.shape}; "
            f"it must keep the shape and return floats."
        )
    return output


def to_array(tensor: Any) -> Array:
    """Return a Keras tensor as a NumPy array."""
    return np.asarray(ops.convert_to_numpy(tensor))


def describe_error(error: Exception) -> str:
    """Return an exception's type and message in one line; a long message loses its middle."""
    text = " ".join(str(error).split())
    if len(text) > 240:
        text = f"{text[:120]} ... {text[-120:]}"
    return f"{type(error).__name__}: {text}"


def quote_names(names: Iterable[str]) -> str:
    """Return the first three names, quoted, and the number of the others."""
    quoted = [repr(name) for name in names]
    rest = f" and {len(quoted) - 3} more" if len(quoted) > 3 else ""
    return ", ".join(quoted[:3]) + rest


def _resolve(what: str, reference: Reference) -> Callable[..., Any]:
    try:
        return resolve(reference)
    except (BenchError, ImportError, AttributeError) as error:
        text = f"{what} {reference!r} cannot be found: {describe_error(error)}"
        raise CheckError(text) from error


def _build(backbone: Backbone, *, input_shape: tuple[int, int, int], **options: Any) -> Any:
    """Call a backbone's builder and check what it returns; `CheckError` if it is wrong."""
    _resolve("build", backbone.build)
    try:
        model = network_builder(backbone)(input_shape=input_shape, **options)
    except Exception as error:
        raise CheckError(
            f"build raised {describe_error(error)}\n"
            f"It was called with input_shape={input_shape}, include_top=False, weights=None. "
            f"If only the size is wrong, declare input_size or minimum_size."
        ) from error
    # A Sequential or a subclass has no graph of operations that could be cut.
    graph = getattr(model, "operations", None)
    if not isinstance(model, keras.Model) or graph is None:
        raise CheckError(
            f"build returned {type(model).__name__}; it must return a functional model, made by "
            f"keras.Model(inputs, outputs)."
        )
    if model.input_shape != (None, *input_shape):
        raise CheckError(
            f"build was called with input_shape={input_shape}, but its network takes "
            f"{model.input_shape}; it must use its argument."
        )
    nested = [x.name for x in model.layers if isinstance(x, keras.Model) and batchnorms([x])]
    if nested:
        raise CheckError(
            f"{quote_names(nested)} is a nested model whose BatchNorm cannot be frozen; call its "
            f"layers one by one instead."
        )
    if len(model.outputs) != 1:
        raise CheckError(f"the network has {len(model.outputs)} outputs; return one.")
    output = model.outputs[0]
    if len(output.shape) != 4 or not _is_float(output):
        raise CheckError(
            f"the output is {output.dtype} {output.shape}, not floats of (batch, height, width, "
            f"channels); leave out pooling and classifier when include_top=False."
        )
    # `input` and `output` of a layer are those of its first call; later calls are not found.
    outputs = {id(tensor) for operation in graph for tensor in keras.tree.flatten(operation.output)}
    inputs = {op.name: keras.tree.flatten(op.input) for op in graph} | {"output": model.outputs}
    for name, tensors in inputs.items():
        if any(id(tensor) not in outputs for tensor in tensors):
            raise CheckError(
                f"{name!r} takes the output of a layer's second call; to be cut, a network must "
                f"call each layer once, and must share none with another network."
            )
    return model


def _is_float(tensor: Any) -> bool:
    return bool(keras.backend.is_float_dtype(tensor.dtype))


def calibrate_batchnorm(network: Network, images: Array) -> None:
    """Set the statistics of each BatchNorm to those of its inputs for these images.

    With the initial statistics, the outputs of a network with random weights differ by 1e-13
    between images, so that any two networks would agree.
    """
    norms = batchnorms(network.base.layers)
    for norm in norms:
        norm.call = partial(_call_and_calibrate, norm, norm.call)
    network.base(network.preprocess(images), training=False)
    for norm in norms:
        del norm.call


def _call_and_calibrate(norm: Any, call: Callable[..., Any], inputs: Any, **options: Any) -> Any:
    """Set a BatchNorm's statistics to those of its inputs, and return its outputs."""
    values = np.moveaxis(to_array(inputs), norm.axis, -1)
    values = values.reshape(-1, values.shape[-1])
    variance = values.var(axis=0)
    norm.moving_mean.assign(values.mean(axis=0))
    norm.moving_variance.assign(variance)
    outputs = call(inputs, **options)
    # Dividing by the standard deviation of a nearly constant channel would amplify rounding errors.
    norm.moving_variance.assign(np.maximum(variance, variance.mean()))
    return outputs
