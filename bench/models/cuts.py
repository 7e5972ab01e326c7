"""Where a network may be cut: tensors that alone determine everything after them.

This only reads the graph; nothing here computes an activation or knows about training. Operations
are told by their positions in the graph or by `labels`, which are the same in every build; names
that Keras gives by itself are not.
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

FINDING = 1  # the version of the rule of `found_stages`; a new one is a new code digest
SHRINKS = 4 / 9  # of the positions, or fewer: a stride of 2, and no convolution without padding
WIDENS = 2  # times, or more: a layer that expands for the block that it begins


def labels(model: Any) -> list[str]:
    """Return what each operation is called: its name, or `kind@position` where Keras named it."""
    found = []
    for place, operation in enumerate(model.operations):
        kind = re.sub(r"_\d+$", "", operation.name)
        automatic = kind.replace("_", "") == type(operation).__name__.lower()
        found.append(f"{kind}@{place}" if automatic else str(operation.name))
    return found


def clean_cuts(model: Any) -> list[int]:
    """Return the positions after which a single tensor crosses to the rest, in order.

    Operations are in topological order, so a tensor is a clean cut exactly when, right after it
    is computed, no other tensor is still needed.
    """
    operations = model.operations
    last = {id(t): place for place, one in enumerate(operations) for t in inputs_of(one)}
    needed = -1  # the last operation that reads a tensor made so far
    found = []
    for place, operation in enumerate(operations):
        outputs = flat(operation.output)
        if len(outputs) == 1 and needed <= place:
            found.append(place)
        needed = max(needed, *(last.get(id(t), place) for t in outputs))
    return found


def stage_ends(backbone: Backbone, model: Any) -> list[int]:
    """Return the positions at which the stages end: as declared, or else as found in the graph."""
    if not backbone.stages:
        return found_stages(model)
    called = labels(model)
    places: dict[str | int, int] = {OUTPUT: len(called) - 1}
    for place, operation in enumerate(model.operations):
        places |= {place: place, called[place]: place, operation.name: place}
    for stage in backbone.stages:
        if stage not in places:
            nearest = (get_close_matches(str(stage), called, n=1, cutoff=0.5) or called[-1:])[0]
            raise TrialError(
                f"{backbone.name}: stage {stage!r} is no layer of this network; "
                f"the nearest is {nearest!r}."
            )
    return [places[stage] for stage in backbone.stages]


def found_stages(model: Any) -> list[int]:
    """Return the ends of the parts that compute at one resolution each; the last is the output.

    Between two such parts there are often several clean cuts. Taken is the one after the last
    layer that multiplies by a kernel, and after the operations without weights that follow it, as
    pooling, if that makes the tensor no larger. Layers that expand the channels for the next part's
    first block, as an inverted bottleneck has them, belong to the next part.
    """
    operations = model.operations
    clean = set(clean_cuts(model))
    parts: list[list[int]] = [[]]  # for each resolution one cut after each layer with a kernel
    before = math.inf  # positions in the output of the layer with a kernel before
    multiplied = False
    for place, operation in enumerate(operations):
        weights = getattr(operation, "weights", ())  # an operation that is no layer has none
        multiplied = multiplied or any(len(weight.shape) > 1 for weight in weights)
        if place not in clean or len(operation.output.shape) != 4:
            continue
        if multiplied:
            positions = math.prod(operation.output.shape[1:3])
            if positions <= before * SHRINKS and parts[-1]:
                parts.append([])
            before, multiplied = positions, False
            parts[-1].append(place)
        elif parts[-1] and _size(operation) <= _size(operations[parts[-1][-1]]):
            parts[-1][-1] = place
    ends = []
    for part in parts[:-1]:
        sizes = [_size(operations[place]) for place in part]
        last = len(part) - 1
        while last and sizes[last] > WIDENS * sizes[last - 1]:
            last -= 1
        ends.append(part[last])
    return [*ends, len(operations) - 1]


def cut_for(backbone: Backbone, model: Any, unfreeze: Unfreeze) -> str:
    """Return the label of the deepest cut after which everything lies that `unfreeze` trains."""
    if unfreeze.kind == "none":
        return FEATURES
    if unfreeze.kind == "all":
        return PIXELS
    if unfreeze.kind == "stages":
        ends = stage_ends(backbone, model)
        kept = len(ends) - unfreeze.count
        return labels(model)[ends[kept - 1]] if kept > 0 else PIXELS
    check_layers(backbone.name, unfreeze, len(model.layers))
    trained = {id(layer) for layer in model.layers[unfreeze.count :] if layer.weights}
    if not trained:
        raise TrialError(
            f"{backbone.name} has no weights from layer {unfreeze.count} on, so there is nothing "
            f"to train; choose a protocol that unfreezes by stages."
        )
    operations = model.operations
    first = next(place for place, one in enumerate(operations) if id(one) in trained)
    cuts = [place for place in clean_cuts(model) if place < first and inputs_of(operations[place])]
    return labels(model)[cuts[-1]] if cuts else PIXELS


def check_layers(backbone: str, unfreeze: Unfreeze, layers: int) -> None:
    """Refuse a "from layer N" that leaves this backbone nothing to train."""
    if unfreeze.kind == "from_layer" and unfreeze.count >= layers:
        raise TrialError(
            f"{backbone} has {layers} layers, so training 'from layer {unfreeze.count}' leaves "
            f"nothing to train; choose a protocol that unfreezes by stages."
        )


def trained_layers(backbone: Backbone, model: Any, unfreeze: Unfreeze) -> list[Any]:
    """Return the layers that a phase trains, BatchNorm included."""
    if unfreeze.kind == "none":
        return []
    if unfreeze.kind == "from_layer":
        return list(model.layers[unfreeze.count :])
    cut = cut_for(backbone, model, unfreeze)
    if cut == PIXELS:
        return list(model.layers)
    after = {id(one) for one in model.operations[labels(model).index(cut) + 1 :]}
    return [layer for layer in model.layers if id(layer) in after]


def flat(tensors: Any) -> list[Any]:
    """Return one tensor or several as a list."""
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def inputs_of(operation: Any) -> list[Any]:
    """Return the tensors that an operation reads."""
    # Only an InputLayer has no inputs; its "input" is its own output.
    if type(operation).__name__ == "InputLayer":
        return []
    return flat(operation.input)


def _size(operation: Any) -> int:
    return math.prod(operation.output.shape[1:])
