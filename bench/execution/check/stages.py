"""Checks of the stages at which a backbone declares that it may be cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bench.errors import CheckError
from bench.execution.check.subject import Subject, computed, named
from bench.models.backends.base import Array
from bench.models.cuts import OUTPUT, PIXELS, clean_cuts, find_stages, operation_labels, stage_ends

CUT_TOLERANCE = 1e-4  # of the greatest value


def check_stages(subject: Subject) -> str:
    """Check the stages in the graph alone: nothing is computed."""
    backbone, model = subject.backbone, subject.built.base
    if not backbone.stages:
        return _check_found(subject)
    called, again = ([one.name for one in net.operations] for net in (model, subject.own_size))
    for stage in backbone.stages:
        if (stage in called) != (stage in again):
            raise CheckError(
                f"stage {stage!r} has another name when the network is built again: Keras numbers "
                f"layers that have no name; give its position, "
                f"{(called if stage in called else again).index(stage)}, or leave `stages` out."
            )
    ends, names = stage_ends(backbone, model), operation_labels(model)
    clean = clean_cuts(model)
    for end in ends:
        if end not in clean:
            around = [place for place in clean if place < end][-1:]
            around += [place for place in clean if place > end][:1]
            raise CheckError(
                f"stage {names[end]!r} is no clean cut: another branch goes past it. "
                f"The clean cuts next to it: {named(names[place] for place in around)}."
            )
    for earlier, later in pairwise(ends):
        if earlier == later:
            raise CheckError(f"stage {names[later]!r} is named twice; name each end once.")
        if earlier > later:
            raise CheckError(
                f"stage {names[later]!r} comes before {names[earlier]!r} in the network; list the "
                f"stages from the input towards the output."
            )
    if ends[-1] != len(names) - 1:
        raise CheckError(
            f"the last stage is {names[ends[-1]]!r}, but the network ends in {names[-1]!r}; the "
            f"last stage must be {OUTPUT!r}."
        )
    _check_weights(ends, names, model)
    return f"{len(ends)} stages"


def _check_found(subject: Subject) -> str:
    """Check that the same stages are found at both sizes."""
    found, own = (
        [operation_labels(net)[end] for end in find_stages(net)]
        for net in (subject.built.base, subject.own_size)
    )
    if found != own:
        raise CheckError(
            f"at {subject.backbone.input_size} px the stages end in {named(own)}, at "
            f"{subject.size} px in {named(found)}; declare `stages`, the same for all sizes."
        )
    return f"{len(own)} stages found: {', '.join(own)}"


def check_cuts(subject: Subject) -> str:
    """Compare the compiled parts that training uses with the network as it was built."""
    network, there = subject.network, {PIXELS: subject.images, **subject.at_stages}
    # Not compiled: on JAX a compiled call draws the same random numbers each time.
    whole = computed(network.base(network.preprocess(subject.images), training=False))
    if not np.isfinite(whole).all() or whole.std(axis=0).max() == 0:
        raise CheckError(
            "with random weights the output is the same for all images, or not finite; nothing "
            "can be seen in it. Do not let the builder set weights."
        )
    again = _difference(there[subject.stages[-1]], whole)
    if again > CUT_TOLERANCE:
        raise CheckError(
            f"run twice, the network's output differs by {again:.1e} of its greatest value; it "
            f"must not be random in inference (`training` in a layer's call)."
        )
    # From stage to stage: from each to the end would compute the last of them again and again.
    differences = {}
    for stage, following in pairwise(there):
        [output] = subject.backend.forward(network.between(stage, [following]))(there[stage])
        differences[stage] = _difference(output, there[following])
    for stage, difference in differences.items():
        if difference > CUT_TOLERANCE:
            raise CheckError(
                f"cut at stage {stage!r}, what follows differs from the whole network's by "
                f"{difference:.1e} of its greatest value: something crosses the cut unseen. "
                f"Let layers after it read nothing before it, or declare other `stages`."
            )
    return f"greatest difference {max(differences.values()):.1e}"


def _check_weights(ends: Sequence[int], names: Sequence[str], model: Any) -> None:
    """Raise where a stage has no weights: unfreezing it would train nothing."""
    layers = {id(layer) for layer in model.layers if layer.weights}
    start = 0
    for end in ends:
        if not any(id(operation) in layers for operation in model.operations[start : end + 1]):
            raise CheckError(
                f"stage {names[end]!r} holds no weights, so nothing would be trained by unfreezing "
                f"it; leave it out or end the stage before it earlier."
            )
        start = end + 1


def _difference(found: Array, expected: Array) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())
