"""Keras' own formats, `.keras` and the older `.h5`, and TensorFlow's SavedModel, which Keras writes
on the TensorFlow backend.

A `.keras` file holds preprocessing as it was declared. An `.h5` file can hold only layers, so
preprocessing becomes a layer there. All usual preprocessing is affine: each output channel is a
linear combination of the input channels plus an offset. The coefficients are computed from the
function's outputs for four colours, and checked on random images. In a SavedModel the metadata is
in `assets.extra`, which the format reserves for its users' files.
"""

from __future__ import annotations

import sys
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.inference.export import EXPORT_FORMATS, MEMBER, About, Format
from bench.inference.runtimes import Call, keras_call
from bench.system.files import write_atomic
from bench.system.plugin_files import module_name

if TYPE_CHECKING:
    from bench.models.backends.base import Array

TOLERANCE = 1e-4  # error of the affine preprocessing, as a fraction of its range


class _KerasFormat(Format):
    """A format that Keras can load."""

    usage = """\
import keras  # pip install keras tensorflow

model = keras.saving.load_model(FILE)
probabilities = model.predict(images)"""

    def program(self, model: Any) -> str:
        """Return `usage` for the current backend, preceded by imports that register custom layers:
        the file has only their names and settings."""
        import keras

        backend = keras.config.backend()
        named = f'import os\n\nos.environ["KERAS_BACKEND"] = "{backend}"\n'
        begin = [] if backend == "tensorflow" else [named]
        modules = {type(layer).__module__ for layer in model._flatten_layers()}
        # Keras imports its own libraries by itself.
        custom = sorted(name for name in modules if not name.startswith(("keras.", "keras_hub.")))
        usage = self.usage.replace("tensorflow", backend)
        return "\n".join([*begin, *map(_import_code, custom), usage])

    def load(self, path: Path) -> Call:
        import keras

        return keras_call(keras.saving.load_model(path, compile=False))


def _import_code(module: str) -> str:
    """Return code that imports a module with custom layers of the model."""
    file = Path(str(getattr(sys.modules[module], "__file__", None)))
    if module != module_name(file):
        return f"import {module}  # registers layers of the model"
    return f"""\
from pathlib import Path

from bench.registry import load_plugins  # pip install backbone-bench

load_plugins([Path({file.name!r})])  # registers layers of the model"""


class _Keras(_KerasFormat):
    name = "keras"
    help = "Keras' own format"
    suffix = ".keras"

    def write(self, model: Any, folder: Path, about: About) -> Path:
        path = folder / "model.keras"
        model.save(path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(MEMBER, about.json())
        return path


class _H5(_KerasFormat):
    name = "h5"
    help = "Keras' older format, with preprocessing as a layer"
    suffix = ".h5"

    def write(self, model: Any, folder: Path, about: About) -> Path:
        import h5py

        path = folder / "model.h5"
        plain = with_preprocessing_layers(model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain.save(path)
        with h5py.File(path, "a") as file:
            file.attrs[MEMBER] = about.json()
        return path


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
            probabilities: Array = restored.serve(tf.constant(images)).numpy()
            return probabilities

        call.restored = restored  # type: ignore[attr-defined]  # keeps its variables alive
        return call


EXPORT_FORMATS.add(_Keras())
EXPORT_FORMATS.add(_H5())
EXPORT_FORMATS.add(_SavedModel())


def with_preprocessing_layers(model: Any) -> Any:
    """Return the model, with the same weights, its `preprocess` sub-model replaced by layers."""
    import keras

    def call(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        if layer.name == "preprocess":
            return _as_layers(layer, arguments[0])
        if any(inner.name == "preprocess" for inner in getattr(layer, "layers", ())):
            return with_preprocessing_layers(layer)(*arguments)  # a member of an ensemble
        return layer(*arguments, **keywords)

    return keras.models.clone_model(model, clone_function=lambda x: x, call_function=call)


def _as_layers(preprocess: Any, image: Any) -> Any:
    from keras import layers

    matrix, offset = _affine(preprocess, image.shape[1])
    floats = layers.Rescaling(1.0, dtype="float32", name="to_float")(image)
    convolution = layers.Conv2D(3, 1, name="preprocessing", trainable=False)
    values = convolution(floats)
    convolution.set_weights([matrix[None, None], offset])
    return values


def _affine(preprocess: Any, size: int) -> tuple[Array, Array]:
    """Return the matrix and offset of `values = pixels @ matrix + offset`."""
    import keras
    import numpy as np

    images = np.random.default_rng(0).integers(0, 256, (5, size, size, 3)).astype("uint8")
    colours = np.eye(4, 3, -1) * 255  # black, red, green, blue; the fifth image stays random
    images[:4] = colours[:, None, None]
    values = keras.ops.convert_to_numpy(preprocess(images)).astype(np.float64)
    offset, *columns = values[:4, 0, 0]
    matrix = (np.stack(columns) - offset) / 255
    error = np.abs(images[4] @ matrix + offset - values[4]).max()
    if error > TOLERANCE * max(1.0, float(np.ptp(values[4]))):
        raise BenchError(
            "an .h5 file cannot hold this backbone's preprocessing, which is not an affine "
            "function of the channels; use --format keras."
        )
    return matrix.astype("float32"), offset.astype("float32")
