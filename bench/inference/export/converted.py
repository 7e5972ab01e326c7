"""LiteRT and ONNX files, converted by the runtimes of that name, so that the exported model is the
timed one. Only the metadata is added here."""

from __future__ import annotations

import zipfile
from abc import abstractmethod
from pathlib import Path
from typing import Any

from bench.inference.export import EXPORT_FORMATS, MEMBER, About, Format
from bench.inference.runtimes import RUNTIMES, Call, ModelSource, Runtime
from bench.system.environment import available_cores


class _ConvertedFormat(Format):
    """A format whose file is a runtime's artefact, with metadata."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self.name = runtime, runtime.name
        self.modules, self.install = runtime.modules, runtime.install

    def write(self, model: Any, folder: Path, about: About) -> Path:
        self._runtime.convert(_source_without_images(folder, model))
        path = folder / self._runtime.artefact
        self.describe(path, about)
        return path

    def load(self, path: Path) -> Call:
        return self._runtime.load(_source_without_images(path.parent, None))

    @abstractmethod
    def describe(self, path: Path, about: About) -> None:
        """Add the metadata to the file."""


class _LiteRT(_ConvertedFormat):
    help = "LiteRT (TensorFlow Lite), for phones and embedded devices"
    suffix = ".tflite"
    usage = """\
from ai_edge_litert.interpreter import Interpreter  # pip install ai-edge-litert

interpreter = Interpreter(model_path=FILE)
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
interpreter.invoke()
probabilities = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])"""

    def describe(self, path: Path, about: About) -> None:
        # TensorFlow Lite keeps metadata in a zip archive appended to the network.
        labels = "".join(f"{' '.join(name.split())}\n" for name in about.classes)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(MEMBER, about.json())
            archive.writestr("labels.txt", labels)


class _Onnx(_ConvertedFormat):
    help = "ONNX, for ONNX Runtime and many other runtimes"
    suffix = ".onnx"
    usage = """\
import onnxruntime  # pip install onnxruntime

session = onnxruntime.InferenceSession(FILE)
(probabilities,) = session.run(None, {"image": images})"""

    def describe(self, path: Path, about: About) -> None:
        import onnx

        model = onnx.load(str(path))
        entry = model.metadata_props.add()
        entry.key, entry.value = MEMBER, about.json()
        onnx.save(model, str(path))


def _source_without_images(folder: Path, model: Any) -> ModelSource:
    import numpy as np

    # float32 needs no images for calibration.
    no_images = np.zeros((0, 1, 1, 3), "uint8")
    return ModelSource(model=model, images=no_images, folder=folder, threads=available_cores())


EXPORT_FORMATS.add(_LiteRT(RUNTIMES["litert"]))
EXPORT_FORMATS.add(_Onnx(RUNTIMES["onnx"]))
