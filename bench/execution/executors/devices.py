"""Reserve CPU cores for workers, so that they share none, and find GPUs without a framework."""

from __future__ import annotations

import os
import re
import subprocess
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_runtime_path

from bench.errors import UsageError
from bench.system.environment import available_cores

SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, Windows Subsystem for Linux
LISTING = ("nvidia-smi", "-L")
LISTING_SECONDS = 30


@dataclass
class Cores:
    """The cores of each worker, reserved against other runs of this user until released."""

    sets: tuple[tuple[int, ...], ...]  # one per worker; an empty set: not bound to cores
    note: str = ""  # a warning if some cores are shared
    locks: list[FileLock] = field(default_factory=list)

    def release(self) -> None:
        """Release the cores for other runs; the end of this process does the same."""
        for lock in self.locks:
            lock.release()


def reserve_cores(threads: int, workers: int = 1, folder: Path | None = None) -> Cores:
    """Reserve as many cores for each worker as it has threads.

    None are reserved for `threads=0`, nor if the system cannot bind processes to cores or limits
    this process by a quota: then only the frameworks' own variables limit their threads. `folder`
    holds a lock file for each core.
    """
    available = available_cores()
    if threads > available:
        raise UsageError(f"--threads {threads} is more than the {available} cores available.")
    # Containers with a quota see all cores, so neighbouring ones would choose the same.
    has_quota = not hasattr(os, "sched_getaffinity") or available < len(os.sched_getaffinity(0))
    if not threads or has_quota:
        return Cores(((),) * workers)
    # Hardware threads of one physical core share its arithmetic units: take the first of each core
    # before any second.
    cores = sorted(os.sched_getaffinity(0), key=lambda core: (_hardware_thread(core), core))
    wanted = threads * workers
    locks = _lock(cores, wanted, folder or _runtime_folder())
    order = [*locks, *(core for core in cores if core not in locks)]
    note = ""
    if len(locks) < wanted:
        note = (
            f"of the {wanted} cores for --threads {threads}, {wanted - len(locks)} are shared "
            f"with other trials or runs, which may increase times and latencies."
        )
    sets = [
        tuple(sorted(order[(worker * threads + thread) % len(order)] for thread in range(threads)))
        for worker in range(workers)
    ]
    return Cores(tuple(sets), note, list(locks.values()))


def _lock(cores: list[int], wanted: int, folder: Path) -> dict[int, FileLock]:
    """Lock the first `wanted` free cores, or fewer if there are no more."""
    taken: dict[int, FileLock] = {}
    with suppress(OSError):  # without a writable folder, all cores count as shared
        folder.mkdir(parents=True, exist_ok=True)
        for core in cores:
            if len(taken) == wanted:
                break
            lock = FileLock(folder / f"{core}.lock")
            with suppress(Timeout):
                lock.acquire(timeout=0)
                taken[core] = lock
    return taken


def _runtime_folder() -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns if it falls back to a temporary folder
        return user_runtime_path("backbone-bench") / "cores"


def _hardware_thread(core: int) -> int:
    """Return the position of a logical core among the hardware threads of its physical core."""
    try:
        siblings = _numbers(Path(SIBLINGS.format(core)).read_text())
    except OSError:
        return 0
    return siblings.index(core) if core in siblings else 0


def _numbers(text: str) -> list[int]:
    """Return the numbers in a text such as `0,4` or `0-1`."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def visible_gpus() -> tuple[str, ...]:
    """Return the NVIDIA GPUs that this process may use, as named by `CUDA_VISIBLE_DEVICES`.

    Empty without a driver, and if a GPU is divided into slices (MIG): a process can use only one
    slice, which the user must choose.
    """
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    if asked == "":
        return ()
    listing = _listing()
    found = re.findall(r"^GPU \d+: .*\(UUID: (GPU-[^)\s]+)\)", listing, re.MULTILINE)
    if re.search(r"^\s+MIG ", listing, re.MULTILINE):
        return ()
    if asked is None:
        return tuple(found)
    # As CUDA reads it: everything after an invalid name is ignored.
    names = (name.strip() for name in asked.split(","))
    return tuple(takewhile(lambda name: _is_one_of(name, found), names))


def has_no_gpu() -> bool:
    """Return whether it is certain that no framework will find a GPU or a slice of one."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return True
    return not any(Path(device).exists() for device in DRIVERS)


def _is_one_of(name: str, found: list[str]) -> bool:
    if name.isdigit():
        return int(name) < len(found)
    return name.startswith("GPU-") and any(uuid.startswith(name) for uuid in found)


def _listing() -> str:
    try:
        return subprocess.run(
            LISTING, capture_output=True, text=True, timeout=LISTING_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
