"""TensorFlow's SavedModel, for TensorFlow Serving and the like; wants the TensorFlow backend.

Its extra assets hold the class names: the place that the format keeps for its users' files.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from bench.inference.export.base import MEMBER, About, Call, Format
from bench.inference.runtimes.base import needs_backend
from bench.models.backends.base import Array
from bench.system.files import write_atomic


def _write(model: Any, folder: Path, about: About) -> Path:
    needs_backend("saved_model", "tensorflow")
    path = folder / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(str(path), format="tf_saved_model", verbose=False)
    write_atomic(path / "assets.extra" / MEMBER, about.json())
    return path


def _load(path: Path) -> Call:
    import tensorflow as tf

    restored = tf.saved_model.load(str(path))

    def call(images: Array) -> Array:
        answer: Array = restored.serve(tf.constant(images)).numpy()
        return answer

    call.restored = restored  # type: ignore[attr-defined]  # its variables live as long as it does
    return call


SAVED_MODEL = Format("saved_model", ".saved_model", _write, _load)
