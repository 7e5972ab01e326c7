"""What a runtime is: a way of running a trained model, converted to what would be deployed.

How runtimes are timed is in `bench/inference/measuring`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from bench.errors import TrialError, UsageError
from bench.models.backends.base import Array
from bench.registry import Registry

REFERENCE = "keras"

Call = Callable[[Array], Array]
"""uint8 images in, class probabilities on the host out. The first call of a batch size may be
slow."""


@dataclass(frozen=True)
class Source:
    """What a runtime is made of."""

    model: Any  # the whole Keras model, uint8 pixels to probabilities
    images: Array  # training images, to calibrate with
    folder: Path  # where artefacts go
    threads: int


class Runtime(Protocol):
    """Turns a trained model into a callable.

    `artefact` names what `convert` makes in the source's folder, and `load` reads that file and
    nothing else of the model; without one the runtime runs the Keras model as it is. `modules` are
    what it needs besides the core, `extra` what to `pip install` to have them.
    """

    @property
    def name(self) -> str: ...

    @property
    def artefact(self) -> str: ...

    @property
    def modules(self) -> tuple[str, ...]: ...

    @property
    def extra(self) -> str: ...

    def convert(self, source: Source) -> None:
        """Write the artefact."""

    def load(self, source: Source) -> Call:
        """Make ready to answer, from the artefact where there is one."""


RUNTIMES: Registry[Runtime] = Registry("runtime")


def choose_runtimes(names: str) -> tuple[list[Runtime], list[str]]:
    """The runtimes of `all` or `NAME,NAME`, the reference always first, and what `all` leaves out.

    One that is asked for by name and lacks its packages is an error that says how to get them.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        raise UsageError("--runtimes names nothing; give `all` or NAME,NAME.")
    chosen = [RUNTIMES[REFERENCE]]
    left_out: list[str] = []
    for name in wanted:
        for runtime in RUNTIMES if name == "all" else [RUNTIMES[name]]:
            missing = _missing(runtime.modules)
            if runtime in chosen:
                continue
            if not missing:
                chosen.append(runtime)
                continue
            # It is no extra of ours: a whole other backend.
            missing = ["tensorflow"] if "tensorflow" in missing else missing
            extra = "tensorflow" if "tensorflow" in missing else f"backbone-bench[{runtime.extra}]"
            text = (
                f"runtime {runtime.name} needs {', '.join(missing)}; "
                f"`pip install '{extra}'` brings it."
            )
            if name != "all":
                raise UsageError(text)
            left_out.append(text)
    return chosen, left_out


def needs_backend(name: str, allowed: str) -> None:
    """Refuse to convert from a Keras backend that has no way there."""
    import keras

    found = keras.config.backend()
    if found != allowed:
        raise TrialError(f"runtime {name} converts from KERAS_BACKEND={allowed}, not {found}.")


def _missing(modules: Iterable[str]) -> list[str]:
    return [module for module in modules if find_spec(module) is None]
