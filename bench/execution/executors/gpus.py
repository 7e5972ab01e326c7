"""The GPUs of this machine that a run may use, found without loading a framework."""

from __future__ import annotations

import os
import re
import subprocess
from itertools import takewhile
from pathlib import Path

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA's, AMD's, and Windows' for Linux
LISTING = ("nvidia-smi", "-L")
LISTING_SECONDS = 30


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
