"""The check that a trained model survives being saved, preprocessing included."""

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
from bench.models.network import probabilities
from bench.protocol import Phase

TOLERANCE = 1e-5  # of a probability
LEAST_SPREAD = 10 * TOLERANCE  # between images: any nearer, and all models agree


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
