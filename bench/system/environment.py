"""The environment of a measurement: versions, processor, cores, commit; and the GPU's energy.

A container's quota of processor time limits the number of cores: under Docker's `--cpus` and
Kubernetes' limits a process sees all cores, and is paused for the rest of each period once it has
used its time.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

from bench import __version__
from bench.system import ablation
from bench.system.frameworks import keras_backend

SYSTEM = Path("/")
# Packages and variables that may affect a measurement.
PACKAGES = (
    *("keras", "tensorflow", "jax", "jaxlib", "torch", "numpy", "ml-dtypes", "scipy", "h5py"),
    *("pillow", "tensorflow-datasets"),
)
VARIABLES = (
    *(ablation.VARIABLE, "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES"),
    *("JAX_DEFAULT_MATMUL_PRECISION", "JAX_ENABLE_X64", "JAX_PLATFORMS", "MKL_NUM_THREADS"),
    *("NPROC", "NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS", "ONEDNN_DEFAULT_FPMATH_MODE"),
    *("ONEDNN_MAX_CPU_ISA", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED", "TF_DETERMINISTIC_OPS"),
    *("TF_ENABLE_ONEDNN_OPTS", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_NUM_INTEROP_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_XLA_FLAGS", "XLA_FLAGS"),
)


def describe_environment() -> dict[str, Any]:
    """Return facts about this machine and installation, for records; imports no framework."""
    import psutil

    return {
        "backbone_bench": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor_name(),
        "cores": available_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "keras_backend": keras_backend(),
        "versions": {name: v for name in PACKAGES if (v := _version(name))},
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def utc_now() -> str:
    """Return the current time in UTC, to the second, in the ISO 8601 format of records."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def available_cores(root: Path = SYSTEM) -> int:
    """Return how many cores this process may use: its CPU affinity, limited by the container's
    quota. `root`: the folder that contains `proc` and `sys`."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = read_processor_quota(root)
    return cores if quota is None else max(1, min(cores, int(quota)))


def read_processor_quota(root: Path) -> float | None:
    """Return the processor quota of this process in cores: the strictest limit of its control
    groups (Linux), or None without a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found: list[float] = []
    for line in lines:
        # `0::/a/b` in version 2, `4:cpu,cpuacct:/a/b` in version 1
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for mount in ("sys/fs/cgroup", "sys/fs/cgroup/unified"):
                found += _quotas(root / mount, path, _cgroup_v2_limit)
        elif "cpu" in controllers.split(","):
            found += _quotas(root / "sys/fs/cgroup" / controllers, path, _cgroup_v1_limit)
            found += _quotas(root / "sys/fs/cgroup/cpu", path, _cgroup_v1_limit)
    return min(found, default=None)


def _quotas(mount: Path, path: str, read: Callable[[Path], float | None]) -> Iterator[float]:
    """Yield the limits, in cores, of the control group at `path` and of its parents.

    In a container the mount may be the group itself, so that `path` does not exist below it.
    """
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
    for depth in range(len(parts) + 1):
        try:
            quota = read(mount.joinpath(*parts[:depth]))
        except (OSError, ValueError):
            continue
        if quota is not None:
            yield quota


def _cgroup_v2_limit(group: Path) -> float | None:
    quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
    return None if quota == "max" else int(quota) / int(period)


def _cgroup_v1_limit(group: Path) -> float | None:
    quota, period = (
        int((group / f"cpu.cfs_{name}_us").read_text(encoding="ascii"))
        for name in ("quota", "period")
    )
    return None if quota < 0 else quota / period


@cache
def commit() -> str:
    """Return the commit of the source tree, marked if modified; "" for an installed package."""
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


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def open_joule_counter() -> Callable[[], float] | None:
    """Return a function that returns the joules that this process's GPU has used so far.

    None without a GPU that counts them, or without the package `nvidia-ml-py`.
    """
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        gpu = _first_visible_gpu(pynvml)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except pynvml.NVMLError:
        return None

    def joules() -> float:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1000

    return joules


def _first_visible_gpu(pynvml: Any) -> Any:
    """Return the first GPU that frameworks see in this process; NVML sees all of the machine."""
    name = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if name.startswith("GPU-"):
        return pynvml.nvmlDeviceGetHandleByUUID(name)
    return pynvml.nvmlDeviceGetHandleByIndex(int(name) if name.isdigit() else 0)
