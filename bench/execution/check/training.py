"""Checks that training changes what it should and nothing else, by the real training loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers

from bench.errors import CheckError
from bench.execution.check.subject import IMAGES, LABELS, Subject, named
from bench.models.backends.base import Array
from bench.models.cuts import PIXELS, trained_layers
from bench.models.network import Tail, snapshot
from bench.protocol import Phase, Unfreeze
from bench.training.features import Stored
from bench.training.train import PhaseTrainer


def check_frozen(subject: Subject) -> str:
    """Train the head with the whole network in the step, so that frozen weights could change."""
    network, head = subject.network, subject.head
    phase = Phase("head", epochs=1, learning_rate=1e-3)
    network.unfreeze(phase)
    tail = network.tail(PIXELS, head, phase)
    weights, head_weights = snapshot(network.base.weights), snapshot(head.weights)
    _train(subject, phase, tail, subject.images)
    changed = _changed(network.base.weights, weights)
    if changed:
        raise CheckError(
            f"a step with everything frozen changed {named(changed)}; a layer must not update "
            f"itself in inference."
        )
    if len(_changed(head.weights, head_weights)) < len(head.weights):
        raise CheckError(
            "a step left the head as it was: no gradient comes from these features. Let the "
            "network end in features that differ between images."
        )
    return f"{len(weights)} arrays unchanged"


def check_unfreeze(subject: Subject) -> str:
    """Train one step from the last stage's cut, with BatchNorm frozen."""
    network = subject.network
    phase = Phase("fine-tune", epochs=1, learning_rate=1e-5, unfreeze=Unfreeze("stages", 1))
    cut = network.unfreeze(phase)
    tail = network.tail(cut, subject.head, phase)
    before = {layer.name: snapshot(layer.weights) for layer in network.base.layers}
    _train(subject, phase, tail, subject.images if cut == PIXELS else subject.at_stages[cut])
    stage = trained_layers(subject.backbone, network.base, phase.unfreeze)
    norms = [x.name for x in stage if isinstance(x, layers.BatchNormalization)]
    expected = {x.name for x in stage if x.trainable_variables} - set(norms)
    changed = {x.name for x in network.base.layers if _changed(x.weights, before[x.name])}
    if changed - expected:
        raise CheckError(
            f"unfreezing the last stage, with BatchNorm frozen, also changed "
            f"{named(sorted(changed - expected))}: give each stage weights of its own."
        )
    if not expected:
        raise CheckError("the last stage holds nothing that can be trained; end it earlier.")
    if expected - changed:
        raise CheckError(
            f"unfreezing the last stage left {named(sorted(expected - changed))} unchanged: no "
            f"gradient reaches it. Take out what has no effect on the output."
        )
    return f"{len(changed)} layers changed, {len(norms)} BatchNorm kept"


def _train(subject: Subject, phase: Phase, tail: Tail, inputs: Array) -> None:
    """Train one epoch of one batch."""
    rows = Stored(inputs)
    PhaseTrainer(phase, 0, tail, subject.backend).run(
        lambda epoch: [rows],
        LABELS,
        rows,
        LABELS,
        seed=0,
        learning_rate=phase.learning_rate,
        batch_size=IMAGES,
        on_batch=lambda done, total: None,
        on_epoch=lambda number, epoch: None,
    )


def _changed(variables: Sequence[Any], before: Sequence[Array]) -> list[str]:
    """Return the paths of the variables that have changed in any bit."""
    return [
        variable.path
        for variable, old, new in zip(variables, before, snapshot(variables), strict=True)
        if old.tobytes() != new.tobytes()
    ]
