"""Where a network may be cut: tensors that alone determine everything after them.

This only reads the graph; nothing here computes an activation or knows about training.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from bench.errors import TrialError
from bench.protocol import Unfreeze
from bench.types import Backbone

PIXELS = "pixels"  # before the network: nothing is frozen
FEATURES = "features"  # after the pooling: the whole backbone is frozen


def clean_cuts(model: Any) -> list[str]:
    """Return the names of the layers after which a single tensor crosses to the rest, in order.

    Operations are in topological order, so a tensor is a clean cut exactly when, right after it
    is computed, no other tensor is still needed.
    """
    operations = model.operations
    consumers: dict[int, int] = {}
    for operation in operations:
        for tensor in inputs_of(operation):
            consumers[id(tensor)] = consumers.get(id(tensor), 0) + 1
    alive: set[int] = set()
    found = []
    for operation in operations:
        for tensor in inputs_of(operation):
            consumers[id(tensor)] -= 1
            if consumers[id(tensor)] == 0:
                alive.discard(id(tensor))
        outputs = flat(operation.output)
        alive.update(id(t) for t in outputs)
        if len(outputs) == 1 and alive == {id(outputs[0])}:
            found.append(operation.name)
    return found


def cut_for(backbone: Backbone, model: Any, unfreeze: Unfreeze) -> str:
    """Return the deepest cut after which everything lies that `unfreeze` trains."""
    if unfreeze.kind == "none":
        return FEATURES
    if unfreeze.kind == "all":
        return PIXELS
    if unfreeze.kind == "stages":
        kept = len(backbone.stages) - unfreeze.count
        return backbone.stages[kept - 1] if kept > 0 else PIXELS
    check_layers(backbone.name, unfreeze, len(model.layers))
    trained = {layer.name for layer in model.layers[unfreeze.count :] if layer.weights}
    if not trained:
        raise TrialError(
            f"{backbone.name} has no weights from layer {unfreeze.count} on, so there is nothing "
            f"to train; choose a protocol that unfreezes by stages."
        )
    names = [operation.name for operation in model.operations]
    first = min(names.index(name) for name in trained)
    before = {operation.name for operation in model.operations[:first]}
    inputs = {layer.name for layer in model.layers if not layer.weights and not inputs_of(layer)}
    cuts = [name for name in clean_cuts(model) if name in before and name not in inputs]
    return cuts[-1] if cuts else PIXELS


def check_stages(backbone: Backbone, model: Any) -> None:
    """Refuse a stage that is no layer of the network: it decides which layers a phase trains."""
    names = [operation.name for operation in model.operations]
    for stage in backbone.stages:
        if stage not in names:
            raise TrialError(f"{backbone.name}: {unknown_stage(stage, names)}")


def unknown_stage(stage: str, names: Sequence[str]) -> str:
    """Return the message about a stage that is none of the network's layers."""
    nearest = (get_close_matches(stage, names, n=1, cutoff=0.5) or names[-1:])[0]
    return f"stage {stage!r} is no layer of this network; the nearest is {nearest!r}."


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
    names = [operation.name for operation in model.operations]
    after = set(names[names.index(cut) + 1 :])
    return [layer for layer in model.layers if layer.name in after]


def flat(tensors: Any) -> list[Any]:
    """Return one tensor or several as a list."""
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def inputs_of(operation: Any) -> list[Any]:
    """Return the tensors that an operation reads."""
    # Only an InputLayer has no inputs; its "input" is its own output.
    if type(operation).__name__ == "InputLayer":
        return []
    return flat(operation.input)
