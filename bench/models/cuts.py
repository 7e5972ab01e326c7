"""Cuts: the tensors of a network that alone determine everything after them.

This module only reads the graph; it computes no activations and does not train. Operations are
identified by position in the graph or by `operation_labels`, which are the same in every build;
names that Keras generates are not.
"""

from __future__ import annotations

import math
import re
from difflib import get_close_matches
from typing import Any

from bench.errors import TrialError
from bench.protocol import Unfreeze
from bench.types import Backbone

PIXELS = "pixels"  # before the network: nothing is frozen
FEATURES = "features"  # after the pooling: the whole backbone is frozen
OUTPUT = "output"  # the name of the last stage's end in any network

STAGE_RULE_VERSION = 1  # of `find_stages`; part of the code digest
# A new stage begins where at most this fraction of the positions is left: at a stride of 2, but not
# at a convolution without padding.
DOWNSAMPLING_RATIO = 4 / 9
# A layer with more than this many times the values of the layer before expands the channels for the
# next block.
EXPANSION_RATIO = 2


def operation_labels(model: Any) -> list[str]:
    """Return the label of each operation: its name, or `kind@position` if Keras generated it."""
    found = []
    for place, operation in enumerate(model.operations):
        kind = re.sub(r"_\d+$", "", operation.name)
        is_generated = kind.replace("_", "") == type(operation).__name__.lower()
        found.append(f"{kind}@{place}" if is_generated else str(operation.name))
    return found


def clean_cuts(model: Any) -> list[int]:
    """Return, in order, the positions after which the rest of the network needs only one tensor.

    Operations are in topological order, so a tensor is a clean cut exactly if no earlier tensor is
    still needed after it is computed.
    """
    operations = model.operations
    last = {id(t): place for place, one in enumerate(operations) for t in input_tensors(one)}
    needed = -1  # position of the last operation that reads a tensor computed so far
    found = []
    for place, operation in enumerate(operations):
        outputs = as_list(operation.output)
        if len(outputs) == 1 and needed <= place:
            found.append(place)
        needed = max(needed, *(last.get(id(t), place) for t in outputs))
    return found


def stage_ends(backbone: Backbone, model: Any) -> list[int]:
    """Return the positions at which the stages end: those declared, or else those of
    `find_stages`. Raise `TrialError` for a declared stage that is not in the network."""
    if not backbone.stages:
        return find_stages(model)
    labels = operation_labels(model)
    places: dict[str | int, int] = {OUTPUT: len(labels) - 1}
    for place, operation in enumerate(model.operations):
        places |= {place: place, labels[place]: place, operation.name: place}
    for stage in backbone.stages:
        if stage not in places:
            nearest = (get_close_matches(str(stage), labels, n=1, cutoff=0.5) or labels[-1:])[0]
            raise TrialError(
                f"{backbone.name}: stage {stage!r} is not a layer of this network; "
                f"the closest name is {nearest!r}."
            )
    return [places[stage] for stage in backbone.stages]


def find_stages(model: Any) -> list[int]:
    """Find the parts that compute at one resolution each, and return the positions of their ends.

    Between two such stages there are often several clean cuts. A stage ends after its last layer
    with a kernel, and after the operations without weights that follow it, such as pooling, unless
    they make the tensor larger. Layers that expand the channels for the first block of the next
    stage, as in an inverted bottleneck, belong to the next. The last stage ends at the output.
    """
    operations = model.operations
    clean = set(clean_cuts(model))
    stages: list[list[int]] = [[]]  # of each, the cut after each layer with a kernel
    previous = math.inf  # positions (height x width) after the previous layer with a kernel
    has_kernel = False
    for place, operation in enumerate(operations):
        weights = getattr(operation, "weights", ())  # only layers have weights
        has_kernel = has_kernel or any(len(weight.shape) > 1 for weight in weights)
        if place not in clean or len(operation.output.shape) != 4:
            continue
        if has_kernel:
            positions = math.prod(operation.output.shape[1:3])
            if positions <= previous * DOWNSAMPLING_RATIO and stages[-1]:
                stages.append([])
            previous, has_kernel = positions, False
            stages[-1].append(place)
        elif stages[-1] and _size(operation) <= _size(operations[stages[-1][-1]]):
            stages[-1][-1] = place
    ends = []
    for stage in stages[:-1]:
        sizes = [_size(operations[place]) for place in stage]
        last = len(stage) - 1
        while last and sizes[last] > EXPANSION_RATIO * sizes[last - 1]:
            last -= 1
        ends.append(stage[last])
    return [*ends, len(operations) - 1]


def cut_for(backbone: Backbone, model: Any, unfreeze: Unfreeze) -> str:
    """Return the label of the deepest cut that is before every layer that `unfreeze` trains."""
    if unfreeze.kind == "none":
        return FEATURES
    if unfreeze.kind == "all":
        return PIXELS
    if unfreeze.kind == "stages":
        ends = stage_ends(backbone, model)
        kept = len(ends) - unfreeze.count
        return operation_labels(model)[ends[kept - 1]] if kept > 0 else PIXELS
    check_layers(backbone.name, unfreeze, len(model.layers))
    trained = {id(layer) for layer in model.layers[unfreeze.count :] if layer.weights}
    if not trained:
        raise TrialError(
            f"{backbone.name} has no weights from layer {unfreeze.count} on, so there is nothing "
            f"to train; choose a protocol that unfreezes by stages."
        )
    operations = model.operations
    first = next(place for place, one in enumerate(operations) if id(one) in trained)
    cuts = [
        place for place in clean_cuts(model) if place < first and input_tensors(operations[place])
    ]
    return operation_labels(model)[cuts[-1]] if cuts else PIXELS


def check_layers(backbone: str, unfreeze: Unfreeze, layers: int) -> None:
    """Raise `TrialError` if "from layer N" is beyond the last of the backbone's layers."""
    if unfreeze.kind == "from_layer" and unfreeze.count >= layers:
        raise TrialError(
            f"{backbone} has {layers} layers, so training 'from layer {unfreeze.count}' leaves "
            f"nothing to train; choose a protocol that unfreezes by stages."
        )


def trained_layers(backbone: Backbone, model: Any, unfreeze: Unfreeze) -> list[Any]:
    """Return the layers that a phase trains, including BatchNorm."""
    if unfreeze.kind == "none":
        return []
    if unfreeze.kind == "from_layer":
        return list(model.layers[unfreeze.count :])
    cut = cut_for(backbone, model, unfreeze)
    if cut == PIXELS:
        return list(model.layers)
    after = {id(one) for one in model.operations[operation_labels(model).index(cut) + 1 :]}
    return [layer for layer in model.layers if id(layer) in after]


def as_list(tensors: Any) -> list[Any]:
    """Return one tensor or several as a list."""
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def input_tensors(operation: Any) -> list[Any]:
    """Return the tensors that an operation reads."""
    # An InputLayer reads nothing; its "input" attribute is its own output.
    if type(operation).__name__ == "InputLayer":
        return []
    return as_list(operation.input)


def _size(operation: Any) -> int:
    """Return the number of values of the operation's output, for one image."""
    return math.prod(operation.output.shape[1:])
