"""Runtimes: ways of running a trained model for deployment, whose latency is measured.

A new runtime is one file in this folder, which registers itself. Importing this package loads no
framework, as the command line lists the runtimes. `bench/inference/measuring` times them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.registry import Registry, backend_of, import_modules, lacking, names_in, require
from bench.system.frameworks import keras_backend
from bench.types import REFERENCE

if TYPE_CHECKING:
    from bench.models.backends.base import Array

Call = Callable[["Array"], "Array"]
"""A function from uint8 images to class probabilities in the host's memory. The first call with a
new batch size may be slow."""


@dataclass(frozen=True)
class ModelSource:
    """The input of a runtime: a trained model, and a folder for its artefact."""

    model: Any  # the whole Keras model, from uint8 pixels to probabilities
    images: Array  # training images, for calibration
    folder: Path  # folder of the artefacts
    threads: int


class Runtime(ABC):
    """Turns a trained model into a callable.

    `artefact` names the file that `convert` writes into the source's folder; `load` reads that file
    and nothing else of the model. Without one the runtime runs the Keras model as it is.
    """

    name: str
    help: str  # one line, for `--help` and `list`
    artefact: str = ""
    modules: tuple[str, ...] = ()  # modules it needs besides the core
    install: str = ""  # requirement for `pip install` that provides the modules

    def convert(self, source: ModelSource) -> None:  # noqa: B027  # some have no artefact
        """Write the artefact, if the runtime has one."""

    @abstractmethod
    def load(self, source: ModelSource) -> Call:
        """Return the prediction function, loaded from the artefact if the runtime has one."""


RUNTIMES: Registry[Runtime] = Registry("runtime", listed_by="`list`")


def choose_runtimes(names: str) -> list[Runtime]:
    """Return the runtimes of `all` or `NAME,NAME`, the reference always first.

    `all` leaves out runtimes whose packages are not installed; naming one of them raises an error
    that says how to install it.
    """
    if not (wanted := names_in(names)):
        raise UsageError("--runtimes names no runtime; give `all` or NAME,NAME.")
    chosen = [RUNTIMES[REFERENCE]]
    for name in wanted:
        if name != "all":
            require("runtime", RUNTIMES[name])
        found = (r for r in RUNTIMES if name in (r.name, "all") and not lacking("runtime", r))
        chosen += [runtime for runtime in found if runtime not in chosen]
    return chosen


def unavailable_runtimes(names: str) -> list[str]:
    """Return messages on the runtimes that `all` leaves out; raise as `choose_runtimes` does."""
    chosen = choose_runtimes(names)
    reasons, by_backend = list[str](), dict[str, list[str]]()
    for runtime in RUNTIMES if "all" in names_in(names) else ():
        if runtime in chosen:
            continue
        if (backend := backend_of(runtime)) in ("", keras_backend()):
            reasons.append(lacking("runtime", runtime))
        else:
            by_backend.setdefault(backend, []).append(runtime.name)
    needs = (f"runtimes {', '.join(n)} need KERAS_BACKEND={b}." for b, n in by_backend.items())
    return [*reasons, *needs]


def frozen_graph(model: Any) -> Any:
    """Return the model as a TensorFlow function with its weights as constants, for conversion.

    It takes uint8 images in batches of any size. Variables would be read in every query, and other
    captured tensors, as of EfficientNet's normalization, would become inputs.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype, name="image")
    traced = tf.function(lambda image: model(image, training=False)).get_concrete_function(spec)
    return convert_variables_to_constants_v2(traced)


def keras_call(model: Any) -> Call:
    """Return the prediction function of a Keras model, compiled by its backend."""
    from bench.models.backends.base import current_backend

    forward = current_backend().forward(model)
    return lambda images: forward(images)[0]


class _KerasCompiled(Runtime):
    """The reference: the Keras model as the backend compiles it, without XLA on TensorFlow."""

    name = REFERENCE
    help = "the Keras model as its backend compiles it; always timed"

    def load(self, source: ModelSource) -> Call:
        return keras_call(source.model)


RUNTIMES.add(_KerasCompiled())
import_modules(__name__)
