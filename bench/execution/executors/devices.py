"""What a worker may use of this machine: cores, as many as `--threads` says and not those of other
workers, and GPUs, found without loading a framework."""

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
DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA's, AMD's, and Windows' for Linux
LISTING = ("nvidia-smi", "-L")
LISTING_SECONDS = 30


@dataclass
class Cores:
    """The cores of each worker, reserved among the runs of this user until they are released."""

    sets: tuple[tuple[int, ...], ...]  # empty: a worker is bound to none
    note: str = ""  # not empty: some are shared
    locks: list[FileLock] = field(default_factory=list)

    def release(self) -> None:
        """Release the cores for other runs, as the end of this process does, too."""
        for lock in self.locks:
            lock.release()


def reserve(threads: int, workers: int = 1, folder: Path | None = None) -> Cores:
    """Choose as many cores for each worker as it has threads.

    No cores are chosen without a number of threads, nor where the system cannot bind a process to
    cores or a quota says how much of all of them it may use: there the frameworks' own variables
    must do. `folder` holds a lock for each core taken.
    """
    available = available_cores()
    if threads > available:
        raise UsageError(f"--threads {threads} was asked for; this process may use {available}.")
    # Containers with a quota see all cores: each would choose the same ones as those next to it.
    shares = not hasattr(os, "sched_getaffinity") or available < len(os.sched_getaffinity(0))
    if not threads or shares:
        return Cores(((),) * workers)
    # Two threads of one physical core share its arithmetic: the second of them comes last.
    cores = sorted(os.sched_getaffinity(0), key=lambda core: (_place_on_its_core(core), core))
    wanted = threads * workers
    locks = _lock(cores, wanted, folder or _runtime_folder())
    order = [*locks, *(core for core in cores if core not in locks)]
    note = ""
    if len(locks) < wanted:
        note = (
            f"of the {wanted} cores for --threads {threads}, {wanted - len(locks)} are shared "
            f"with other trials or runs: times and latencies may be longer for it."
        )
    sets = [
        tuple(sorted(order[(worker * threads + thread) % len(order)] for thread in range(threads)))
        for worker in range(workers)
    ]
    return Cores(tuple(sets), note, list(locks.values()))


def _lock(cores: list[int], wanted: int, folder: Path) -> dict[int, FileLock]:
    """Lock the first free ones of `cores`, as many as are wanted."""
    taken: dict[int, FileLock] = {}
    with suppress(OSError):  # nothing can be written there: all count as shared
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
        warnings.simplefilter("ignore")  # where the system has none, it is in the temporary files
        return user_runtime_path("backbone-bench") / "cores"


def _place_on_its_core(core: int) -> int:
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
    """Return what `CUDA_VISIBLE_DEVICES` calls each; nothing without a driver that lists any.

    Nothing, too, where they are divided into slices (MIG): a process can use one slice, and the
    user must choose it.
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


def can_be_no_gpu() -> bool:
    """Return whether certainly no framework will find a GPU, a slice of one included."""
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
