"""Checks of the stages at which a backbone declares that it may be cut."""

from __future__ import annotations

from collections.abc import Sequence, Set
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import keras
import numpy as np

from bench.errors import CheckError
from bench.execution.check.subject import Subject, named
from bench.models.backends.base import Array
from bench.models.cuts import clean_cuts, unknown_stage

CUT_TOLERANCE = 1e-4  # of the greatest value


def check_stages(subject: Subject) -> str:
    """Check the stages in the graph alone: nothing is computed."""
    stages, model = subject.backbone.stages, subject.network.base
    names = [operation.name for operation in model.operations]
    if not stages:
        raise CheckError(f"no stage is declared; name at least the last layer, {names[-1]!r}.")
    again = {operation.name for operation in subject.own_size.operations}
    clean = [name for name in clean_cuts(model) if name in again]
    for stage in stages:
        _check_known(stage, names, again)
        _check_clean(stage, names, clean)
    for earlier, later in pairwise(stages):
        if earlier == later:
            raise CheckError(f"stage {later!r} is named twice; name each end once.")
        if names.index(earlier) > names.index(later):
            raise CheckError(
                f"stage {later!r} comes before {earlier!r} in the network; list the stages from "
                f"the input towards the output."
            )
    if stages[-1] != names[-1]:
        raise CheckError(
            f"the last stage is {stages[-1]!r}, but the network ends in {names[-1]!r}; the last "
            f"stage must be the output."
        )
    _check_weights(stages, names, model)
    return f"{len(stages)} stages"


def check_cuts(subject: Subject) -> str:
    """Compare the compiled parts that training uses with the network as it was built."""
    network, last = subject.network, subject.backbone.stages[-1]
    model = keras.Model(network.image, network.base(network.preprocess(network.image)))
    [whole] = subject.backend.forward(model)(subject.images)
    if not np.isfinite(whole).all() or whole.std(axis=0).max() == 0:
        raise CheckError(
            "with random weights the output is the same for all images, or not finite; nothing "
            "can be seen in it. Do not let the builder set weights."
        )
    # Not compiled: on JAX a compiled call draws the same random numbers each time.
    pixels = network.preprocess(subject.images)
    once, again = (_host(network.base(pixels, training=False)) for _ in range(2))
    if _difference(once, again) > CUT_TOLERANCE:
        raise CheckError(
            f"run twice, the network's output differs by {_difference(once, again):.1e} of its "
            f"greatest value; it must not be random in inference."
        )
    differences = []
    for stage in subject.backbone.stages:
        output = subject.at_stages[stage]
        if stage != last:
            [output] = subject.backend.forward(network.between(stage, [last]))(output)
        differences.append(_difference(output, whole))
        if differences[-1] > CUT_TOLERANCE:
            raise CheckError(
                f"cut at stage {stage!r}, the output differs from the whole network's by "
                f"{differences[-1]:.1e} of its greatest value: something crosses the cut unseen."
            )
    return f"greatest difference {max(differences):.1e}"


def _check_known(stage: str, names: Sequence[str], again: Set[str]) -> None:
    """Raise where a stage does not have the same name in both builds of the network."""
    if stage in names and stage in again:
        return
    nearest = (get_close_matches(stage, names, n=1, cutoff=0.5) or names[-1:])[0]
    if stage in names or stage in again or nearest not in again:
        raise CheckError(
            f"stage {stage!r} has another name when the network is built again: Keras numbers "
            f"layers that have no name; give it one in the builder."
        )
    raise CheckError(unknown_stage(stage, names))


def _check_clean(stage: str, names: Sequence[str], clean: Sequence[str]) -> None:
    if stage not in clean:
        place = names.index(stage)
        around = [name for name in clean if names.index(name) < place][-1:]
        around += [name for name in clean if names.index(name) > place][:1]
        raise CheckError(
            f"stage {stage!r} is no clean cut: another branch goes past it. "
            f"The clean cuts next to it: {named(around)}."
        )


def _check_weights(stages: Sequence[str], names: Sequence[str], model: Any) -> None:
    """Raise where a stage has no weights: unfreezing it would train nothing."""
    start = 0
    for stage in stages:
        end = names.index(stage) + 1
        inside = set(names[start:end])
        if not any(layer.weights for layer in model.layers if layer.name in inside):
            raise CheckError(
                f"stage {stage!r} holds no weights, so nothing would be trained by unfreezing it; "
                f"leave it out or end the stage before it earlier."
            )
        start = end


def _difference(found: Array, expected: Array) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _host(tensor: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(tensor))
