"""Checks of the network: it is built as declared, training changes what it should and nothing else
(by the real training loop), and what was trained survives being saved."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench.analysis.format import counted
from bench.errors import CheckError
from bench.execution.check.subject import (
    HEAD_PHASE,
    IMAGES,
    LABELS,
    Subject,
    cause,
    computed,
    named,
)
from bench.models.backends.base import Array
from bench.models.cuts import PIXELS, trained_layers
from bench.models.network import Tail, batchnorms, count_macs, snapshot
from bench.models.published import files_for
from bench.protocol import Phase, Unfreeze
from bench.system.frameworks import suppress_stderr
from bench.training.losses import probabilities
from bench.training.train import PhaseTrainer

GMACS_TOLERANCE = 0.02  # published figures are rounded
TOLERANCE = 1e-5  # of a probability
LEAST_SPREAD = 10 * TOLERANCE  # between images: any nearer, and all models agree


def check_build(subject: Subject) -> str:
    """Build at the default size and at another, with the same weights."""
    backbone = subject.backbone
    if backbone.minimum_size > backbone.input_size:
        raise CheckError(
            f"minimum_size {backbone.minimum_size} is above input_size {backbone.input_size}; "
            f"correct one of them."
        )
    own, other = subject.own_size, subject.built.base
    if own.count_params() != other.count_params() and not backbone.per_position:
        raise CheckError(
            f"{own.count_params():,} parameters at {backbone.input_size} px and "
            f"{other.count_params():,} at {subject.size} px; weights trained at one size must "
            f"fit any other. Leave out layers with a weight for each position, or declare "
            f"per_position=True where loading fits them to the size."
        )
    return f"{backbone.input_size} and {subject.size} px"


def check_declaration(subject: Subject) -> str:
    """Compare parameters and layers exactly, multiply-accumulates nearly."""
    backbone, model = subject.backbone, subject.own_size
    files_for(backbone, backbone.input_size)  # raises where "imagenet" means no published file
    parameters, layers, gmacs = model.count_params(), len(model.layers), count_macs(model) / 1e9
    wrong = []
    if backbone.parameters not in (None, parameters):
        wrong.append(f"parameters={backbone.parameters:_}, built {parameters:_}")
    if backbone.layers not in (None, layers):
        wrong.append(f"layers={backbone.layers}, built {layers}")
    if backbone.gmacs is not None and abs(backbone.gmacs / gmacs - 1) > GMACS_TOLERANCE:
        wrong.append(
            f"gmacs={backbone.gmacs:g}, counted {gmacs:.3g} in convolutions and dense layers at "
            f"{backbone.input_size} px"
        )
    if wrong:
        raise CheckError(f"declared {'; '.join(wrong)}. Declare what is built.")
    found = f"parameters={parameters:_}, layers={layers}"
    found += ", gmacs cannot be counted" if np.isnan(gmacs) else f", gmacs={gmacs:.3g}"
    declared = (backbone.parameters, backbone.layers, backbone.gmacs)
    return found if None not in declared else f"not all is declared; found {found}"


def check_save(subject: Subject) -> str:
    """Compare the loaded file with the model that was trained, both on uint8 pixels."""
    # Not compiled: for one batch that would take longer than it saves.
    expected = probabilities(computed(subject.tail(subject.images, training=False)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        loaded = _saved_and_loaded(subject, path)
        size = path.stat().st_size
    if loaded.inputs[0].dtype != "uint8":
        raise CheckError(f"loaded again, the model takes {loaded.inputs[0].dtype}, not uint8.")
    found = computed(loaded(subject.images, training=False))
    difference = float(np.abs(found - expected).max())
    spread = float(np.ptp(expected[:, 0]))
    if spread < LEAST_SPREAD:
        raise CheckError(
            f"with random weights, the probabilities of different images differ by {spread:.1e} at "
            f"most; they do not show whether pixels arrive correctly. Change its initial weights."
        )
    if not difference < TOLERANCE:
        raise CheckError(
            f"saved and loaded, the model's probabilities differ by {difference:.1e}; a layer does "
            f"not save all that it computes with. Let its get_config() return it."
        )
    return f"{size / 1e6:.1f} MB, greatest difference {difference:.1e}"


def _saved_and_loaded(subject: Subject, path: Path) -> Any:
    try:
        with suppress_stderr(), subject.backend.building():
            subject.classifier.save(path)  # imports TensorFlow, also on other backends
            return keras.models.load_model(path, compile=False)
    except Exception as error:
        raise CheckError(
            f"the model cannot be saved and loaded: {cause(error)}\n"
            f"Layers of your own need @keras.saving.register_keras_serializable() and get_config()."
        ) from error


def check_frozen(subject: Subject) -> str:
    """Train the head with the whole network in the step, so that frozen weights could change."""
    network, head = subject.network, subject.head
    network.unfreeze(HEAD_PHASE)
    weights, head_weights = snapshot(network.base.weights), snapshot(head.weights)
    _train(subject, HEAD_PHASE, subject.tail, subject.images)
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
    norms = batchnorms(stage)
    expected = {x.name for x in stage if x.trainable_variables}
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
    return f"{counted(len(changed), 'layer')} changed, {len(norms)} BatchNorm kept"


def _train(subject: Subject, phase: Phase, tail: Tail, inputs: Array) -> None:
    """Train one step, the one that training compiles."""
    step = PhaseTrainer(phase, 0, tail, subject.backend).step
    result = step(step.put(inputs, LABELS.astype("int32"), np.ones(IMAGES, "float32")))
    loss = step.fetch([result])[0, 0]
    step.sync()
    if not np.isfinite(loss):
        raise CheckError(
            f"the loss of a training step is {loss}; the network's features must be finite."
        )


def _changed(variables: Sequence[Any], before: Sequence[Array]) -> list[str]:
    """Return the paths of the variables that have changed in any bit."""
    return [
        variable.path
        for variable, old, new in zip(variables, before, snapshot(variables), strict=True)
        if old.tobytes() != new.tobytes()
    ]
