"""Checks of what is built: against what is declared of it, and that it survives being saved."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench.errors import CheckError
from bench.execution.check.subject import Subject, cause
from bench.models.backends.base import Array
from bench.models.cuts import PIXELS
from bench.models.network import macs, probabilities
from bench.models.published import files_for
from bench.protocol import Phase

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
    if own.count_params() != other.count_params():
        raise CheckError(
            f"{own.count_params():,} parameters at {backbone.input_size} px and "
            f"{other.count_params():,} at {subject.size} px; weights trained at one size must "
            f"fit any other. Leave out layers with a weight for each position."
        )
    return f"{backbone.input_size} and {subject.size} px"


def check_declaration(subject: Subject) -> str:
    """Compare parameters and layers exactly, multiply-accumulates nearly."""
    backbone, model = subject.backbone, subject.own_size
    files_for(backbone, backbone.input_size)  # raises where "imagenet" means no published file
    parameters, layers, gmacs = model.count_params(), len(model.layers), macs(model) / 1e9
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
    found = f"parameters={parameters:_}, layers={layers}, gmacs={gmacs:.3g}"
    declared = (backbone.parameters, backbone.layers, backbone.gmacs)
    return found if None not in declared else f"not all is declared; found {found}"


def check_save(subject: Subject) -> str:
    """Compare the loaded file with the model that was trained, both on uint8 pixels."""
    network, head = subject.network, subject.head
    tail = network.tail(PIXELS, head, Phase("head", epochs=1, learning_rate=1e-3))
    expected = probabilities(_run(tail, subject.images))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        loaded = _saved_and_loaded(network.classifier(head), path)
        size = path.stat().st_size
    if loaded.inputs[0].dtype != "uint8":
        raise CheckError(f"loaded again, the model takes {loaded.inputs[0].dtype}, not uint8.")
    found = _run(loaded, subject.images)
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


def _run(model: Any, images: Array) -> Array:
    # One batch, so compiling would take longer than it saves.
    return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))


def _saved_and_loaded(model: Any, path: Path) -> Any:
    try:
        model.save(path)
        return keras.models.load_model(path, compile=False)
    except Exception as error:
        raise CheckError(
            f"the model cannot be saved and loaded: {cause(error)}\n"
            f"Layers of your own need @keras.saving.register_keras_serializable() and get_config()."
        ) from error
