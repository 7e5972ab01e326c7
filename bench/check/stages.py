"""Checks of the places where a backbone says that it may be cut."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import keras
import numpy as np

from bench.backends.base import Array
from bench.check.subject import Subject, named
from bench.cuts import clean_cuts
from bench.errors import CheckError

CUT_TOLERANCE = 1e-4  # of the greatest value


def check_stages(subject: Subject) -> str:
    """Found in the graph alone: nothing is computed."""
    stages, model = subject.backbone.stages, subject.network.base
    names = [operation.name for operation in model.operations]
    if not stages:
        raise CheckError(f"no stage is declared; name at least the last layer, {names[-1]!r}.")
    for stage in stages:
        _check_clean(stage, names, clean_cuts(model))
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
    again = {operation.name for operation in subject.own_size.operations}
    renamed = [stage for stage in stages if stage not in again]
    if renamed:
        raise CheckError(
            f"stage {named(renamed)} has another name when the network is built again: Keras "
            f"numbers layers without a name; give it one in the builder."
        )
    return f"{len(stages)} stages"


def check_cuts(subject: Subject) -> str:
    """The compiled pieces that training uses, against the network as it was built."""
    network, last = subject.network, subject.backbone.stages[-1]
    model = keras.Model(network.image, network.base(network.preprocess(network.image)))
    [whole] = subject.backend.forward(model)(subject.images)
    if not np.isfinite(whole).all() or whole.std(axis=0).max() == 0:
        raise CheckError(
            "with random weights the output is the same for all images, or not finite; nothing "
            "can be told from it. Do not let the builder set weights."
        )
    worst = _difference(subject.at_stages[last], whole)
    for stage in subject.backbone.stages[:-1]:
        suffix = subject.backend.forward(network.between(stage, [last]))
        [output] = suffix(subject.at_stages[stage])
        difference = _difference(output, whole)
        if difference > CUT_TOLERANCE:
            raise CheckError(
                f"cut at stage {stage!r}, the output differs from the whole network's by "
                f"{difference:.1e} of its greatest value: something crosses the cut unseen."
            )
        worst = max(worst, difference)
    if worst > CUT_TOLERANCE:
        raise CheckError(
            f"run twice, the network's output differs by {worst:.1e} of its greatest value: it "
            f"must not be random in inference."
        )
    return f"greatest difference {worst:.1e}"


def _check_clean(stage: str, names: Sequence[str], clean: Sequence[str]) -> None:
    if stage not in names:
        nearest = get_close_matches(stage, names, n=1, cutoff=0.5)
        hint = f"the nearest is {nearest[0]!r}" if nearest else f"its last is {names[-1]!r}"
        raise CheckError(f"stage {stage!r} is no layer of this network; {hint}.")
    if stage not in clean:
        place = names.index(stage)
        around = [name for name in clean if names.index(name) < place][-1:]
        around += [name for name in clean if names.index(name) > place][:1]
        raise CheckError(
            f"stage {stage!r} is no clean cut: another branch goes past it. "
            f"The clean cuts next to it: {named(around)}."
        )


def _check_weights(stages: Sequence[str], names: Sequence[str], model: Any) -> None:
    """A stage without weights would be unfrozen, and nothing would be trained."""
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
