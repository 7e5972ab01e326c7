"""Runtimes: ways of running a trained model whose latency is timed, converted to what would be
deployed.

Each file of this folder registers its own: adding one takes that file alone. Importing this package
loads no framework, as the command line lists what there is. How runtimes are timed is in
`bench/inference/measuring`.
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
"""uint8 images in, class probabilities on the host out. The first call of a batch size may be
slow."""


@dataclass(frozen=True)
class ModelSource:
    """What a runtime is given."""

    model: Any  # the whole Keras model, uint8 pixels to probabilities
    images: Array  # training images, to calibrate with
    folder: Path  # where artefacts go
    threads: int


class Runtime(ABC):
    """Turns a trained model into a callable.

    `artefact` names the file that `convert` writes into the source's folder; `load` reads that file
    and nothing else of the model. Without one the runtime runs the Keras model as it is.
    """

    name: str
    help: str  # one line, for `--help` and `list`
    artefact: str = ""
    modules: tuple[str, ...] = ()  # that it needs besides the core
    install: str = ""  # what to `pip install` to have them

    def convert(self, source: ModelSource) -> None:  # noqa: B027  # not all have something to convert
        """Write the artefact, where there is one."""

    @abstractmethod
    def load(self, source: ModelSource) -> Call:
        """Return what answers, from the artefact where there is one."""


RUNTIMES: Registry[Runtime] = Registry("runtime", listed_by="`list`")


def choose_runtimes(names: str) -> list[Runtime]:
    """Return the runtimes of `all` or `NAME,NAME`, the reference always first.

    `all` leaves out those that lack their packages; one that is named and lacks them is an error
    that says how to install them.
    """
    if not (wanted := names_in(names)):
        raise UsageError("--runtimes names nothing; give `all` or NAME,NAME.")
    chosen = [RUNTIMES[REFERENCE]]
    for name in wanted:
        if name != "all":
            require("runtime", RUNTIMES[name])
        found = (r for r in RUNTIMES if name in (r.name, "all") and not lacking("runtime", r))
        chosen += [runtime for runtime in found if runtime not in chosen]
    return chosen


def left_out(names: str) -> list[str]:
    """Return why `all` leaves out some runtimes; an error as for choosing them."""
    chosen = choose_runtimes(names)
    why, unlike = list[str](), dict[str, list[str]]()
    for runtime in RUNTIMES if "all" in names_in(names) else ():
        if runtime in chosen:
            continue
        if (backend := backend_of(runtime)) in ("", keras_backend()):
            why.append(lacking("runtime", runtime))
        else:
            unlike.setdefault(backend, []).append(runtime.name)
    needs = (f"runtimes {', '.join(n)} need KERAS_BACKEND={b}." for b, n in unlike.items())
    return [*why, *needs]


def frozen_graph(model: Any) -> Any:
    """Return the model as a TensorFlow function for uint8 images in batches of any size, its
    weights as constants: what converters start from.

    A variable would be read in every query, and what the model captured besides variables, as
    EfficientNet's normalization does, would become an input.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype, name="image")
    traced = tf.function(lambda image: model(image, training=False)).get_concrete_function(spec)
    return convert_variables_to_constants_v2(traced)


def keras_call(model: Any) -> Call:
    """Return what answers through a Keras model as the backend compiles it."""
    from bench.models.backends.base import current

    forward = current().forward(model)
    return lambda images: forward(images)[0]


class _KerasCompiled(Runtime):
    """The reference: the Keras model as the backend compiles it, without XLA on TensorFlow."""

    name = REFERENCE
    help = "the Keras model as its backend compiles it; always timed"

    def load(self, source: ModelSource) -> Call:
        return keras_call(source.model)


RUNTIMES.add(_KerasCompiled())
import_modules(__name__)
