"""LiteRT and ONNX: converted by the runtimes that measured them, so that what is exported is what
was timed. Only what the file says of itself is added here."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.inference.export.base import MEMBER, About, Call, Format
from bench.inference.runtimes.base import Runtime, Source, choose_runtimes
from bench.system.environment import available_cores


def _format(runtime_name: str, suffix: str, describe: Callable[[Path, About], None]) -> Format:
    def write(model: Any, folder: Path, about: About) -> Path:
        runtime = _runtime(runtime_name)
        runtime.convert(_source(folder, model))
        describe(folder / runtime.artefact, about)
        return folder / runtime.artefact

    def load(path: Path) -> Call:
        return _runtime(runtime_name).load(_source(path.parent, None))

    return Format(runtime_name, suffix, write, load)


def _runtime(name: str) -> Runtime:
    import bench.inference.runtimes  # noqa: F401  # registers them

    return choose_runtimes(name)[0][-1]


def _source(folder: Path, model: Any) -> Source:
    # Nothing is calibrated in float32, so no images are needed.
    nothing = np.zeros((0, 1, 1, 3), "uint8")
    return Source(model=model, images=nothing, folder=folder, threads=available_cores())


def _describe_litert(path: Path, about: About) -> None:
    # As in the metadata of TensorFlow Lite: a zip archive after the network, `labels.txt` in it.
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MEMBER, about.json())
        archive.writestr("labels.txt", "".join(f"{_line(name)}\n" for name in about.classes))


def _line(name: str) -> str:
    return " ".join(name.split())


def _describe_onnx(path: Path, about: About) -> None:
    import onnx

    model = onnx.load(str(path))
    entry = model.metadata_props.add()
    entry.key, entry.value = MEMBER, about.json()
    onnx.save(model, str(path))


LITERT = _format("litert", ".tflite", _describe_litert)
ONNX = _format("onnx", ".onnx", _describe_onnx)
