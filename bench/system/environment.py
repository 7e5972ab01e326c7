"""What a figure was measured on: versions, processor, device, commit. Read, never guessed."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import __version__
from bench.system.quota import SYSTEM, processor_quota

# Those that a figure can depend on.
PACKAGES = (
    *("keras", "tensorflow", "jax", "jaxlib", "torch", "numpy", "ml-dtypes", "scipy", "h5py"),
    *("pillow", "tensorflow-datasets"),
)
VARIABLES = (
    *("CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "JAX_DEFAULT_MATMUL_PRECISION"),
    *("JAX_ENABLE_X64", "JAX_PLATFORMS", "MKL_NUM_THREADS", "NPROC", "NVIDIA_TF32_OVERRIDE"),
    *("OMP_NUM_THREADS", "ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA"),
    *("OPENBLAS_NUM_THREADS", "PYTHONHASHSEED", "TF_DETERMINISTIC_OPS"),
    *("TF_ENABLE_ONEDNN_OPTS", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_NUM_INTEROP_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_XLA_FLAGS", "XLA_FLAGS"),
)


def environment() -> dict[str, Any]:
    """Facts about this machine and this installation; imports no framework."""
    import psutil

    return {
        "backbone_bench": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": available_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "keras_backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "versions": {name: v for name in PACKAGES if (v := _version(name))},
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def available_cores(root: Path = SYSTEM) -> int:
    """Cores that this process may use: those that it may run on, and no more than the processor
    time that a container gives it keeps busy."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = processor_quota(root)
    return cores if quota is None else max(1, min(cores, int(quota)))


@cache
def commit() -> str:
    """The commit of the source tree this runs from, marked when it was changed; '' elsewhere."""
    root = Path(__file__).resolve().parent.parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return described.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
