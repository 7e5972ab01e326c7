"""Export formats: files of a trained model, from uint8 images to class probabilities.

A new format is one file in this folder, which registers itself. Importing this package loads no
framework, as the command line lists the formats. `bench/inference/exporting.py` writes and checks
the files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.inference.runtimes import Call
from bench.registry import Registry, backend_of, import_modules
from bench.system.files import to_json

MEMBER = "backbone_bench.json"
"""Name of the member, attribute or asset of an exported file that holds `About` as JSON."""


@dataclass(frozen=True)
class About:
    """Metadata in an exported file, for use without this program."""

    classes: tuple[str, ...]  # in the order of the model's outputs
    input_size: int  # pixels
    backbone: str
    run: str
    trial: str  # key of the trial
    temperature: float | None  # divide log-probabilities by it for calibrated confidence
    backbone_bench: str  # version that wrote the file
    input: str = "uint8 RGB images, N x size x size x 3, values 0 to 255; preprocessing is inside"
    output: str = "probabilities, N x classes"

    def json(self) -> str:
        return to_json(self, indent=2)


class Format(ABC):
    """A file format: writes a model to a file, and loads it again."""

    name: str
    help: str  # a few words, for `--help` and `list`
    suffix: str  # of the exported file, with its dot
    modules: tuple[str, ...] = ()  # modules it needs besides the core
    install: str = ""  # requirement for `pip install` that provides the modules
    usage: str = ""  # Python code for the model card, from `images` and `FILE` to `probabilities`

    def program(self, model: Any) -> str:
        """Return `usage`, preceded by the imports that loading this model needs."""
        return self.usage

    @abstractmethod
    def write(self, model: Any, folder: Path, about: About) -> Path:
        """Write the model as a file or folder inside `folder`, and return its path."""

    @abstractmethod
    def load(self, path: Path) -> Call:
        """Load the model from that path alone."""


EXPORT_FORMATS: Registry[Format] = Registry("export format", listed_by="`list`")


def suggest_format(environment: Mapping[str, Any]) -> str:
    """Return the name of the format to suggest for a run made in this environment: ONNX, which most
    programs read, if the run's Keras backend can write it."""
    needed = backend_of(EXPORT_FORMATS["onnx"])
    return "onnx" if environment.get("keras_backend", needed) == needed else "keras"


import_modules(__name__)
