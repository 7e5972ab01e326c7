"""Start a framework (TensorFlow, JAX, PyTorch) in this process: quickly, without its log output,
and with the environment variables that it reads at startup. Variables that the user set stay."""

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

# Allocate GPU memory as needed: by default TensorFlow reserves all of it and JAX three quarters, so
# that peaks cannot be measured and other processes cannot use the GPU. PyTorch grows by default.
GROWING_MEMORY = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

# A flag that XLA reads at startup.
DETERMINISTIC_XLA = "--xla_gpu_deterministic_ops=true"

# Keras imports these if they are installed, for wrappers and plots that workers do not use; they
# double the loading time.
UNUSED_BY_WORKERS = ("matplotlib", "pandas", "sklearn")

# pandas imports it if it is installed, for column types that runs do not have: 70 MB. Only commands
# hide it: a program that imports bench may use such columns.
UNUSED_BY_PANDAS = ("pyarrow",)

STDERR = 2


def keras_backend(preferred: str = "") -> str:
    """Return the Keras backend of this process: $KERAS_BACKEND, or the first installed one of
    `preferred` and all supported ones."""
    installed = (name for name in (preferred, *KERAS_BACKENDS) if name and find_spec(name))
    return os.environ.get("KERAS_BACKEND") or next(installed, KERAS_BACKENDS[0])


def usable_keras_backend(preferred: str = "") -> str:
    """Return `keras_backend(preferred)`; UsageError if it is not supported or not installed."""
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
    """Set the environment variables for importing Keras, with the backend of `keras_backend`."""
    os.environ["KERAS_BACKEND"] = usable_keras_backend(preferred)
    defaults = {"TF_CPP_MIN_LOG_LEVEL": "3"} | GROWING_MEMORY
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


@contextmanager
def disable_gc() -> Iterator[None]:
    """Disable garbage collection inside, and permanently exempt the objects created there.

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
    """Make imports of `packages` fail inside, as if they were not installed.

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
    """Discard what this process writes to standard error inside.

    C++ libraries log there while they load, some before they have read their log level. Python
    exceptions pass through.
    """
    sys.stderr.flush()
    original = os.dup(STDERR)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, STDERR)
    os.close(null)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(original, STDERR)
        os.close(original)
