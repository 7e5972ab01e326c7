"""LiteRT and ONNX: converted by the runtimes that measured them, so that what is exported is what
was timed. Only what the file says of itself is added here."""

from __future__ import annotations

import zipfile
from abc import abstractmethod
from pathlib import Path
from typing import Any

from bench.inference.export import EXPORT_FORMATS, MEMBER, About, Format
from bench.inference.runtimes import RUNTIMES, Call, ModelSource, Runtime
from bench.system.environment import available_cores


class _Converted(Format):
    """A runtime's artefact, described."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self.name = runtime, runtime.name
        self.modules, self.install = runtime.modules, runtime.install

    def write(self, model: Any, folder: Path, about: About) -> Path:
        self._runtime.convert(_source(folder, model))
        path = folder / self._runtime.artefact
        self.describe(path, about)
        return path

    def load(self, path: Path) -> Call:
        return self._runtime.load(_source(path.parent, None))

    @abstractmethod
    def describe(self, path: Path, about: About) -> None:
        """Add to the file what it says of itself."""


class _LiteRT(_Converted):
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
        # As in the metadata of TensorFlow Lite: a zip archive after the network with `labels.txt`.
        labels = "".join(f"{' '.join(name.split())}\n" for name in about.classes)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(MEMBER, about.json())
            archive.writestr("labels.txt", labels)


class _Onnx(_Converted):
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


def _source(folder: Path, model: Any) -> ModelSource:
    import numpy as np

    # Nothing is calibrated in float32, so no images are needed.
    nothing = np.zeros((0, 1, 1, 3), "uint8")
    return ModelSource(model=model, images=nothing, folder=folder, threads=available_cores())


EXPORT_FORMATS.add(_LiteRT(RUNTIMES["litert"]))
EXPORT_FORMATS.add(_Onnx(RUNTIMES["onnx"]))
