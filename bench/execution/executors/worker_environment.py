"""The variables that a worker starts with: what a framework reads when it is imported, too early
for the backend's own file."""

from __future__ import annotations

import os
from pathlib import Path

from bench.system.environment import available_cores
from bench.system.frameworks import DETERMINISTIC_XLA, GROWING_MEMORY
from bench.types import Settings

# TensorFlow's, OpenMP's and those of XLA on the processor, which is JAX there.
FRAMEWORKS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "NPROC")
THREADS = (*FRAMEWORKS, "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def worker_environment(settings: Settings) -> dict[str, str]:
    """This process's variables, with those that the settings ask for."""
    env = dict(os.environ)
    root = str(Path(__file__).resolve().parent.parent.parent.parent)
    env["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [env.get("PYTHONPATH")])])
    env.setdefault("KERAS_BACKEND", "tensorflow")
    env.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    env = GROWING_MEMORY | env
    if settings.threads:
        env |= dict.fromkeys(THREADS, str(settings.threads))
    else:
        # The threads are those that the record names, whatever a framework would guess.
        for name in FRAMEWORKS:
            env.setdefault(name, str(available_cores()))
    if settings.device == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = ""
        env["JAX_PLATFORMS"] = "cpu"
    if settings.deterministic:
        flags = [env.get("XLA_FLAGS", ""), DETERMINISTIC_XLA]
        env["XLA_FLAGS"] = " ".join(filter(None, flags))
        env.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return env
