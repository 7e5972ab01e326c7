"""Checks of the network: it is built as declared, a training step changes the right weights, and a
trained model survives saving."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench.analysis.format import quantity
from bench.errors import CheckError
from bench.execution.check.subject import (
    HEAD_PHASE,
    IMAGES,
    LABELS,
    Subject,
    describe_error,
    quote_names,
    to_array,
)
from bench.models.backends.base import Array
from bench.models.cuts import PIXELS, trained_layers
from bench.models.network import Tail, batchnorms, count_macs, snapshot
from bench.models.published import files_for
from bench.protocol import Phase, Unfreeze
from bench.system.frameworks import suppress_stderr
from bench.training.losses import logits_to_probabilities
from bench.training.phase_trainer import PhaseTrainer

GMACS_TOLERANCE = 0.02  # published figures are rounded
TOLERANCE = 1e-5  # of a probability
MIN_SPREAD = 10 * TOLERANCE  # between images; below it, the comparison would show nothing


def check_build(subject: Subject) -> str:
    """Build at the declared size and at another, and compare the numbers of parameters."""
    backbone = subject.backbone
    if backbone.minimum_size > backbone.input_size:
        raise CheckError(
            f"minimum_size {backbone.minimum_size} is above input_size {backbone.input_size}; "
            f"correct one of them."
        )
    own, other = subject.declared_size_model, subject.built.base
    if own.count_params() != other.count_params() and not backbone.per_position:
        raise CheckError(
            f"{own.count_params():,} parameters at {backbone.input_size} px and "
            f"{other.count_params():,} at {subject.size} px; weights trained at one size must fit "
            f"any other. Leave out layers with a weight for each position, or declare "
            f"per_position=True if loading adapts them to the size."
        )
    return f"{backbone.input_size} and {subject.size} px"


def check_declaration(subject: Subject) -> str:
    """Compare the declared parameters and layers exactly, multiply-accumulates approximately."""
    backbone, model = subject.backbone, subject.declared_size_model
    files_for(backbone, backbone.input_size)  # raises if "imagenet" means no published file
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
    return found if None not in declared else f"not all declared; found {found}"


def check_save(subject: Subject) -> str:
    """Save and load the trained model, and compare its predictions for the same uint8 pixels."""
    # Not compiled: for one batch, compiling would take longer than it saves.
    expected = logits_to_probabilities(to_array(subject.tail(subject.images, training=False)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        loaded = _save_and_load(subject, path)
        size = path.stat().st_size
    if loaded.inputs[0].dtype != "uint8":
        raise CheckError(f"the loaded model takes {loaded.inputs[0].dtype}, not uint8.")
    found = to_array(loaded(subject.images, training=False))
    difference = float(np.abs(found - expected).max())
    spread = float(np.ptp(expected[:, 0]))
    if spread < MIN_SPREAD:
        raise CheckError(
            f"with random weights, the probabilities of different images differ by {spread:.1e} at "
            f"most, too little to compare models. Change the initial weights."
        )
    if not difference < TOLERANCE:
        raise CheckError(
            f"after saving and loading, the probabilities differ by {difference:.1e}: a layer does "
            f"not save all its settings. Return them from its get_config()."
        )
    return f"{size / 1e6:.1f} MB, greatest difference {difference:.1e}"


def _save_and_load(subject: Subject, path: Path) -> Any:
    try:
        with suppress_stderr(), subject.backend.building_context():
            subject.classifier.save(path)  # imports TensorFlow, even on other backends
            return keras.models.load_model(path, compile=False)
    except Exception as error:
        raise CheckError(
            f"the model cannot be saved and loaded: {describe_error(error)}\n"
            f"Custom layers need @keras.saving.register_keras_serializable() and get_config()."
        ) from error


def check_frozen(subject: Subject) -> str:
    """Train the head for a step through the whole network; frozen weights must not change."""
    network, head = subject.network, subject.head
    network.unfreeze(HEAD_PHASE)
    weights, head_weights = snapshot(network.base.weights), snapshot(head.weights)
    _train(subject, HEAD_PHASE, subject.tail, subject.images)
    changed = _changed(network.base.weights, weights)
    if changed:
        raise CheckError(
            f"a step with everything frozen changed {quote_names(changed)}; a layer must not "
            f"update itself in inference."
        )
    if len(_changed(head.weights, head_weights)) < len(head.weights):
        raise CheckError(
            "a training step did not change the head: these features give no gradient. Let the "
            "network end in features that differ between images."
        )
    return f"{len(weights)} arrays unchanged"


def check_unfreeze(subject: Subject) -> str:
    """Train the last stage for a step with BatchNorm frozen; exactly its layers must change."""
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
            f"training the last stage, with BatchNorm frozen, also changed "
            f"{quote_names(sorted(changed - expected))}: stages must not share weights."
        )
    if not expected:
        raise CheckError(
            "the last stage has no trainable weights; end the stage before it earlier."
        )
    if expected - changed:
        raise CheckError(
            f"training the last stage did not change {quote_names(sorted(expected - changed))}: no "
            f"gradient reaches it. Remove layers that have no effect on the output."
        )
    return f"{quantity(len(changed), 'layer')} changed, {len(norms)} BatchNorm kept"


def _train(subject: Subject, phase: Phase, tail: Tail, inputs: Array) -> None:
    """Run one training step, compiled as in training."""
    step = PhaseTrainer(phase, 0, tail, subject.backend).step
    result = step(step.put(inputs, LABELS.astype("int32"), np.ones(IMAGES, "float32")))
    loss = step.fetch([result])[0, 0]
    step.sync()
    if not np.isfinite(loss):
        raise CheckError(
            f"the loss of a training step is {loss}; the network's features must be finite."
        )


def _changed(variables: Sequence[Any], before: Sequence[Array]) -> list[str]:
    """Return the paths of the variables whose values differ in any bit from `before`."""
    return [
        variable.path
        for variable, old, new in zip(variables, before, snapshot(variables), strict=True)
        if old.tobytes() != new.tobytes()
    ]
