"""Start a framework (TensorFlow, JAX, PyTorch) in this process: quickly, quietly, and with the
variables that it reads when it starts. What the user has set stays."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from bench.errors import UsageError
from bench.system.ablation import is_enabled

KERAS_BACKENDS = ("tensorflow", "jax", "torch")

# Allocate GPU memory as it is needed: by default TensorFlow takes all of it and JAX three quarters,
# so that no peak could be measured and nothing else could use the GPU. PyTorch grows by default.
GROWING_MEMORY = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

# Read by XLA when it starts.
DETERMINISTIC_XLA = "--xla_gpu_deterministic_ops=true"

# Keras imports these where it finds them, for wrappers and plots that a worker never calls; they
# take as long to load as everything else.
UNUSED_BY_WORKERS = ("matplotlib", "pandas", "sklearn")

# pandas imports it where it finds it, for columns that no run has: 70 MB. Only a command may hide
# it: a program that imports bench may want such columns of its own.
UNUSED_BY_PANDAS = ("pyarrow",)

STDERR = 2


def keras_backend(preferred: str = "") -> str:
    """Return the Keras backend of this process: the one that the user names, or else the first that
    is installed, of `preferred` and all."""
    installed = (name for name in (preferred, *KERAS_BACKENDS) if name and find_spec(name))
    return os.environ.get("KERAS_BACKEND") or next(installed, KERAS_BACKENDS[0])


def usable_keras_backend(preferred: str = "") -> str:
    """Return the same; an error where Keras cannot run on it here."""
    name = keras_backend(preferred)
    if name not in KERAS_BACKENDS:
        raise UsageError(f"KERAS_BACKEND={name} is not supported; use tensorflow, jax or torch.")
    if find_spec(name) is None:
        others = ", ".join(other for other in KERAS_BACKENDS if find_spec(other))
        raise UsageError(
            f"the Keras backend {name} is not installed here{others and f', {others} is'}; install "
            f"it with `pip install {name}`."
        )
    return name


def set_framework_defaults(preferred: str = "") -> None:
    """Make this process ready to import Keras, on another backend than `preferred` where the user
    names one or that is not installed."""
    os.environ["KERAS_BACKEND"] = usable_keras_backend(preferred)
    defaults = {"TF_CPP_MIN_LOG_LEVEL": "3"} | GROWING_MEMORY
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


@contextmanager
def disable_gc() -> Iterator[None]:
    """Disable garbage collection inside, and exempt what was created there for good.

    Importing a framework creates very many objects that live as long as the process.
    """
    if not is_enabled("lean_imports"):
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def hide_packages(*packages: str) -> Iterator[None]:
    """Make importing `packages` fail inside as if they were not installed.

    A whole run without this and `disable_gc` takes 1.15 to 1.29 times the processor time
    (`benchmarks/ablation.py`: MobileNetV2 at 160 px, EfficientNet-Lite0 on the demo).
    """
    hidden = [name for name in packages if name not in sys.modules]
    if not is_enabled("lean_imports"):
        hidden = []
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not to be imported
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def suppress_stderr() -> Iterator[None]:
    """Discard what this process writes to its standard error.

    Libraries written in C++ write there while they load, some before they have read their log
    level. What goes wrong in Python is an exception, which passes through.
    """
    sys.stderr.flush()
    kept = os.dup(STDERR)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, STDERR)
    os.close(nothing)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, STDERR)
        os.close(kept)
