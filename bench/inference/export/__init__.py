"""Export formats: files of a trained model, raw uint8 images in, class probabilities out.

Each file of this folder registers its own: adding one takes that file alone. Importing this package
loads no framework, as the command line lists what there is. Writing and checking a file is in
`bench/inference/exporting.py`.
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
"""The name under which a format that can hold files holds `About`."""


@dataclass(frozen=True)
class About:
    """What the file says of itself, so that it can be used without this program."""

    classes: tuple[str, ...]  # in the order of the model's outputs
    input_size: int
    backbone: str
    run: str
    trial: str
    temperature: float | None  # what to divide log-probabilities by, for calibrated confidence
    backbone_bench: str  # the version that wrote it
    input: str = "uint8 RGB images, N x size x size x 3, values 0 to 255; preprocessing is inside"
    output: str = "probabilities, N x classes"

    def json(self) -> str:
        return to_json(self, indent=2)


class Format(ABC):
    """How one kind of file is written and read again."""

    name: str
    help: str  # a few words, for `--help` and `list`
    suffix: str  # of the exported file
    modules: tuple[str, ...] = ()  # that it needs besides the core
    install: str = ""  # what to `pip install` to have them
    usage: str = ""  # Python code for the model card: from `images` and `FILE` to `probabilities`

    def program(self, model: Any) -> str:
        """Return `usage`, after what this model needs to be loaded."""
        return self.usage

    @abstractmethod
    def write(self, model: Any, folder: Path, about: About) -> Path:
        """Write a file or folder inside `folder` and return it."""

    @abstractmethod
    def load(self, path: Path) -> Call:
        """Read that file, knowing nothing of the model it came from."""


EXPORT_FORMATS: Registry[Format] = Registry("export format", listed_by="`list`")


def suggested(environment: Mapping[str, Any]) -> str:
    """Return the format to suggest where a run was made in this environment: that which most
    programs read, if the run's Keras backend writes it."""
    needed = backend_of(EXPORT_FORMATS["onnx"])
    return "onnx" if environment.get("keras_backend", needed) == needed else "keras"


import_modules(__name__)
