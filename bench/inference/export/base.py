"""What an export format is, and what every exported file carries besides the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.models.backends.base import Array
from bench.system.files import to_json

MEMBER = "backbone_bench.json"
"""The name under which a format that can hold files holds `About`."""

Call = Callable[[Array], Array]
"""uint8 images in, class probabilities out."""


@dataclass(frozen=True)
class About:
    """What the file must say of itself to be used without this program."""

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


@dataclass(frozen=True)
class Format:
    """How one kind of file is written and read again.

    `write(model, folder, about)` makes a file or folder inside `folder` and returns it; `load` is
    given that, and knows nothing of the model it came from.
    """

    name: str
    suffix: str  # of what is handed out
    write: Callable[[Any, Path, About], Path]
    load: Callable[[Path], Call]
