"""Checks of the stages at which a backbone may be cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bench.errors import CheckError
from bench.execution.check.subject import Subject, quote_names, to_array
from bench.models.backends.base import Array
from bench.models.cuts import OUTPUT, PIXELS, clean_cuts, find_stages, operation_labels, stage_ends

CUT_TOLERANCE = 1e-4  # relative to the largest absolute value


def check_stages(subject: Subject) -> str:
    """Check the stages by the network's graph alone; nothing is computed."""
    backbone, model = subject.backbone, subject.built.base
    if not backbone.stages:
        return _check_found(subject)
    names, again = (
        [one.name for one in net.operations] for net in (model, subject.declared_size_model)
    )
    for stage in backbone.stages:
        if (stage in names) != (stage in again):
            raise CheckError(
                f"stage {stage!r} has another name when the network is built again: Keras numbers "
                f"unnamed layers; give its position, "
                f"{(names if stage in names else again).index(stage)}, or leave out `stages`."
            )
    ends, names = stage_ends(backbone, model), operation_labels(model)
    clean = clean_cuts(model)
    for end in ends:
        if end not in clean:
            around = [place for place in clean if place < end][-1:]
            around += [place for place in clean if place > end][:1]
            raise CheckError(
                f"stage {names[end]!r} is not a clean cut: another branch bypasses it. "
                f"The nearest clean cuts: {quote_names(names[place] for place in around)}."
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
    """Check that the same stages are found at both input sizes."""
    found, own = (
        [operation_labels(net)[end] for end in find_stages(net)]
        for net in (subject.built.base, subject.declared_size_model)
    )
    if found != own:
        raise CheckError(
            f"at {subject.backbone.input_size} px the stages end in {quote_names(own)}, at "
            f"{subject.size} px in {quote_names(found)}; declare `stages`, the same for all sizes."
        )
    return f"{len(own)} stages found: {', '.join(own)}"


def check_cuts(subject: Subject) -> str:
    """Compare the compiled parts between stages with the whole network, not compiled."""
    network, there = subject.network, {PIXELS: subject.images, **subject.at_stages}
    # Not compiled: on JAX a compiled call draws the same random numbers each time.
    whole = to_array(network.base(network.preprocess(subject.images), training=False))
    if not np.isfinite(whole).all() or whole.std(axis=0).max() == 0:
        raise CheckError(
            "with random weights the output is the same for all images, or not finite, so nothing "
            "can be compared. Do not let the builder set weights."
        )
    again = _difference(there[subject.stages[-1]], whole)
    if again > CUT_TOLERANCE:
        raise CheckError(
            f"run twice, the network's output differs by {again:.1e} of its greatest value; it "
            f"must not be random in inference (see `training` in a layer's call)."
        )
    # From each stage to the next: from each to the end would compute the last stages many times.
    differences = {}
    for stage, following in pairwise(there):
        [output] = subject.backend.forward(network.submodel(stage, [following]))(there[stage])
        differences[stage] = _difference(output, there[following])
    for stage, difference in differences.items():
        if difference > CUT_TOLERANCE:
            raise CheckError(
                f"cut at stage {stage!r}, the network's output differs by {difference:.1e} of its "
                f"greatest value: a layer after the cut uses something from before it that is not "
                f"in the graph. Change that layer, or declare other `stages`."
            )
    return f"greatest difference {max(differences.values()):.1e}"


def _check_weights(ends: Sequence[int], names: Sequence[str], model: Any) -> None:
    """Raise `CheckError` if a stage has no weights: unfreezing it would train nothing."""
    layers = {id(layer) for layer in model.layers if layer.weights}
    start = 0
    for end in ends:
        if not any(id(operation) in layers for operation in model.operations[start : end + 1]):
            raise CheckError(
                f"stage {names[end]!r} has no weights, so unfreezing it would train nothing; leave "
                f"it out or end the previous stage earlier."
            )
        start = end + 1


def _difference(found: Array, expected: Array) -> float:
    """Return the largest difference, relative to the largest expected value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())
