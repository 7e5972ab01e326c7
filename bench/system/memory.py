"""How much memory this process took at most, how it gives some back, and which errors mean that
none was left."""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Each framework has an error type of its own for "out of memory", and some only a text; none of
# them is imported here.
OUT_OF_MEMORY_TYPES = ("MemoryError", "OutOfMemoryError", "ResourceExhaustedError")
# What frameworks, protobuf, the C++ library and the system write; also in the log of a process
# that aborted.
OUT_OF_MEMORY_TEXT = re.compile(
    r"RESOURCE_EXHAUSTED|out of memory|bad_alloc|OOM when allocating|can(no|')t allocate memory"
    r"|failed to allocate|can't start new thread|pthread_create|arena alloc failed"
    r"|system_error.*resource temporarily unavailable"
    r"|could not create a primitive(?! descriptor)",  # oneDNN, whose kernels need memory, too
    re.IGNORECASE,
)
RESET_PEAK = "5"  # proc(5), clear_refs
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
MAX_SUMMARY = 160


def peak_memory() -> int:
    """Return the most bytes this process has had resident since it began, or, on Linux, since its
    peak was reset."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":
        # getrusage would include the peak of the process that started this one.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def reset_peak() -> bool:
    """Let `peak_memory` begin anew, and return whether the system can: Linux."""
    try:
        # Return what was freed before to the system: reusing it would not show as growth.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
    except (OSError, AttributeError):
        return False
    return True


def release_pages(array: NDArray[Any]) -> None:
    """Release the pages of a memory-mapped array that were read: they stay in the system's page
    cache and no longer count as memory of this process."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the error, or its cause, means that memory ran out."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names.intersection(OUT_OF_MEMORY_TYPES) or OUT_OF_MEMORY_TEXT.search(str(error)):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)


def memory_error_summary(error: BaseException) -> str:
    """Return the line that names the shortage: TensorFlow's message holds a whole graph, and
    Keras colours some of it."""
    lines = [line.strip() for line in COLOURS.sub("", str(error)).splitlines()]
    line = next((line for line in lines if OUT_OF_MEMORY_TEXT.search(line)), "")
    return line[:MAX_SUMMARY] or type(error).__name__
