"""Variables that a framework reads when it starts, for workers and for commands that load one
themselves. What the user has set stays."""

from __future__ import annotations

import os

from bench.errors import BenchError
from bench.types import Record

KERAS_BACKENDS = ("tensorflow", "jax", "torch")

# Memory of a GPU is taken as it is needed: by default TensorFlow takes all of it and JAX three
# quarters, so that no peak could be told, and nothing else could run beside them. PyTorch does so
# by itself.
GROWING_MEMORY = {
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}

# Read by XLA when it starts.
DETERMINISTIC_XLA = "--xla_gpu_deterministic_ops=true"


def keras_backend_of(record: Record) -> str:
    """The backend that a trial was trained on; a name that the harness does not know is refused
    before Keras is told of it."""
    name = record.environment.get("keras_backend", "tensorflow")
    if name not in KERAS_BACKENDS:
        raise BenchError(
            f"the record of {record.trial.backbone} names the Keras backend {name!r}; known are "
            f"{', '.join(KERAS_BACKENDS)}."
        )
    return str(name)


def prepare_here(keras_backend: str) -> None:
    """Make this process ready to import Keras, unless the user names another backend."""
    defaults = {"KERAS_BACKEND": keras_backend, "TF_CPP_MIN_LOG_LEVEL": "3"} | GROWING_MEMORY
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
