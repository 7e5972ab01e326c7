"""TensorFlow's SavedModel, for TensorFlow Serving and the like; needs the TensorFlow backend.

Its extra assets hold the class names: the place that the format keeps for its users' files.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.inference.export import EXPORT_FORMATS, MEMBER, About, Format
from bench.inference.runtimes import Call, needs_backend
from bench.system.files import write_atomic

if TYPE_CHECKING:
    from bench.models.backends.base import Array


class _SavedModel(Format):
    name = "saved_model"
    help = "TensorFlow's SavedModel, for TensorFlow Serving"
    suffix = ".saved_model"
    modules = ("tensorflow",)
    install = "tensorflow"
    usage = """\
import tensorflow as tf  # pip install tensorflow

model = tf.saved_model.load(FILE)
probabilities = model.serve(tf.constant(images)).numpy()"""

    def write(self, model: Any, folder: Path, about: About) -> Path:
        needs_backend(self.name, "tensorflow")
        path = folder / "model"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.export(str(path), format="tf_saved_model", verbose=False)
        write_atomic(path / "assets.extra" / MEMBER, about.json())
        return path

    def load(self, path: Path) -> Call:
        import tensorflow as tf

        restored = tf.saved_model.load(str(path))

        def call(images: Array) -> Array:
            answer: Array = restored.serve(tf.constant(images)).numpy()
            return answer

        call.restored = restored  # type: ignore[attr-defined]  # else its variables are freed
        return call


EXPORT_FORMATS.add(_SavedModel())
