"""What the checks share: one backbone, built once at each of two sizes, and a few images for it.

A builder or preprocessing that raises, or returns what the harness cannot use, becomes a reason
here. What a correct network must do is tested by the checks.
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
from bench.models.backends.base import Array, current
from bench.models.cuts import PIXELS, as_list, operation_labels, stage_ends
from bench.models.network import Network, batchnorms, build_head, initialise_head, network_builder
from bench.protocol import Head, Phase
from bench.registry import resolve
from bench.types import Backbone, Reference

IMAGES = 8
HEAD_PHASE = Phase("head", epochs=1, learning_rate=1e-3)
STEP_BETWEEN_SIZES = 32  # what any network that takes more than one size can be larger by


class Subject:
    """One backbone under check."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.backend = current()
        self._guarded = replace(
            backbone,
            build=partial(_build, backbone),
            preprocess=partial(preprocess, backbone.preprocess),
        )

    @property
    def size(self) -> int:
        """Return the size the network is run at: its minimum, or one other than its own."""
        own, least = self.backbone.input_size, self.backbone.minimum_size
        return least if least < own else own + STEP_BETWEEN_SIZES

    @cached_property
    def built(self) -> Network:
        """Return the network as it is built, with random weights."""
        return Network(self._guarded, self.size)

    @cached_property
    def network(self) -> Network:
        """Return the network that is run; its random weights are scaled so that outputs differ."""
        calibrate(self.built, self.images)
        return self.built

    @cached_property
    def own_size(self) -> Any:
        """Return the network without its top at its declared size; inspected, never run."""
        return Network(self._guarded, self.backbone.input_size).base

    @cached_property
    def head(self) -> Any:
        """Return a softmax head over two classes."""
        head = build_head(Head(output="softmax"), self.network.features_shape, len(set(LABELS)))
        initialise_head(head, seed=0)
        return head

    @cached_property
    def images(self) -> Array:
        """Return images of colour patches, which differ in more than noise."""
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
        """Return the outputs at each stage, computed as the network was built: not compiled."""
        base, pixels = self.network.base, self.network.preprocess(self.images)
        ends = [base.operations[end].output for end in stage_ends(self.backbone, base)]
        outputs = as_list(keras.Model(base.input, ends)(pixels, training=False))
        return dict(zip(self.stages, map(computed, outputs), strict=True))

    @cached_property
    def tail(self) -> Any:
        """Return the whole network with its head, as a phase that trains the head takes it."""
        return self.network.tail(PIXELS, self.head, HEAD_PHASE)

    @cached_property
    def classifier(self) -> Any:
        """Return the whole model as it is deployed."""
        return self.network.classifier(self.head)


LABELS: Array = np.arange(IMAGES) % 2


def preprocess(reference: Reference, images: Any) -> Any:
    """Apply a preprocessing to a symbolic batch; what is wrong with it is a reason."""
    function = _resolved("preprocess", reference)
    try:
        output = function(images)
    except Exception as error:
        raise CheckError(
            f"preprocess raised {cause(error)}\n"
            f"It must map a float32 batch of RGB in 0..255 by operations of Keras."
        ) from error
    if not isinstance(output, keras.KerasTensor):
        raise CheckError(
            f"preprocess returned {type(output).__name__}, not a tensor; return the images."
        )
    if output.shape != images.shape or not _is_float(output):
        raise CheckError(
            f"preprocess made {output.dtype} {output.shape} of {images.dtype} {images.shape}; "
            f"it must keep the shape and return floats."
        )
    return output


def computed(tensors: Any) -> Array:
    """Return what a model or a function of Keras gave, as an array."""
    return np.asarray(ops.convert_to_numpy(tensors))


def cause(error: Exception) -> str:
    """Return an exception in one line; of a long one both ends, which say what and why."""
    text = " ".join(str(error).split())
    if len(text) > 240:
        text = f"{text[:120]} ... {text[-120:]}"
    return f"{type(error).__name__}: {text}"


def named(names: Iterable[str]) -> str:
    """Return the first few of some names, in one line."""
    quoted = [repr(name) for name in names]
    rest = f" and {len(quoted) - 3} more" if len(quoted) > 3 else ""
    return ", ".join(quoted[:3]) + rest


def _resolved(what: str, reference: Reference) -> Callable[..., Any]:
    try:
        return resolve(reference)
    except (BenchError, ImportError, AttributeError) as error:
        raise CheckError(f"{what} {reference!r} cannot be found: {cause(error)}") from error


def _build(backbone: Backbone, *, input_shape: tuple[int, int, int], **options: Any) -> Any:
    """Call a builder as the harness does; what is wrong with it is a reason."""
    _resolved("build", backbone.build)
    try:
        model = network_builder(backbone)(input_shape=input_shape, **options)
    except Exception as error:
        raise CheckError(
            f"build raised {cause(error)}\n"
            f"It was called with input_shape={input_shape}, include_top=False, weights=None. "
            f"If only the size is wrong, declare input_size or minimum_size."
        ) from error
    # A Sequential or a subclass has no graph of operations, so there is nothing to be cut.
    graph = getattr(model, "operations", None)
    if not isinstance(model, keras.Model) or graph is None:
        raise CheckError(
            f"build returned {type(model).__name__}; it must return a functional keras.Model, "
            f"as keras.Model(inputs, outputs) is."
        )
    if model.input_shape != (None, *input_shape):
        raise CheckError(
            f"build was asked for {input_shape} and its network takes {model.input_shape}; "
            f"it must use the input_shape that it is given."
        )
    nested = [x.name for x in model.layers if isinstance(x, keras.Model) and batchnorms([x])]
    if nested:
        raise CheckError(
            f"{named(nested)} is a model with BatchNorm in it, which cannot be frozen there; call "
            f"its layers one by one instead."
        )
    if len(model.outputs) != 1:
        raise CheckError(f"the network has {len(model.outputs)} outputs; return one.")
    output = model.outputs[0]
    if len(output.shape) != 4 or not _is_float(output):
        raise CheckError(
            f"the output is {output.dtype} {output.shape}, not floats of (batch, height, width, "
            f"channels); leave pooling and classifier out when include_top=False."
        )
    # Keras knows what the first call of a layer made and took; what a second one did is lost.
    made = {id(tensor) for operation in graph for tensor in keras.tree.flatten(operation.output)}
    taken = {op.name: keras.tree.flatten(op.input) for op in graph} | {"output": model.outputs}
    for name, tensors in taken.items():
        if any(id(tensor) not in made for tensor in tensors):
            raise CheckError(
                f"{name!r} takes what the second call of a layer made; a network that is cut must "
                f"call each layer once, and in no other network before."
            )
    return model


def _is_float(tensor: Any) -> bool:
    return bool(keras.backend.is_float_dtype(tensor.dtype))


def calibrate(network: Network, images: Array) -> None:
    """Give random weights the BatchNorm statistics that trained ones would have.

    Without them the signal fades to a spread of 1e-13 on its way, and any two networks agree.
    """
    norms = batchnorms(network.base.layers)
    for norm in norms:
        norm.call = partial(_calibrated, norm, norm.call)
    network.base(network.preprocess(images), training=False)
    for norm in norms:
        del norm.call


def _calibrated(norm: Any, call: Callable[..., Any], inputs: Any, **options: Any) -> Any:
    """Call a BatchNorm with the statistics of these inputs, and keep them."""
    values = np.moveaxis(computed(inputs), norm.axis, -1)
    values = values.reshape(-1, values.shape[-1])
    variance = values.var(axis=0)
    norm.moving_mean.assign(values.mean(axis=0))
    norm.moving_variance.assign(variance)
    outputs = call(inputs, **options)
    # Dividing by the spread of a nearly dead channel would blow rounding errors up.
    norm.moving_variance.assign(np.maximum(variance, variance.mean()))
    return outputs
