"""Peak memory of this process, release of mapped pages, and recognition of out-of-memory errors."""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Names of the frameworks' error types for "out of memory": none of the frameworks is imported here.
OUT_OF_MEMORY_TYPES = ("MemoryError", "OutOfMemoryError", "ResourceExhaustedError")
# Messages of frameworks, protobuf, the C++ library and the system, in errors and in the log of a
# process that aborted.
OUT_OF_MEMORY_TEXT = re.compile(
    r"RESOURCE_EXHAUSTED|out of memory|bad_alloc|OOM when allocating|can(no|')t allocate memory"
    r"|(failed|unable) to allocate|can't start new thread|pthread_create|arena alloc failed"
    r"|system_error.*resource temporarily unavailable"
    r"|could not create a primitive(?! descriptor)"  # oneDNN, whose kernels need memory, too
    r"|YNNPACK operation failed: error",  # JAX on a processor; wrong arguments have other words
    re.IGNORECASE,
)
RESET_PEAK = "5"  # proc(5), clear_refs
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
MAX_SUMMARY = 160


def peak_memory() -> int:
    """Return the peak resident memory of this process in bytes, since its start or, on Linux, since
    `reset_peak`."""
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
    """Reset the peak of `peak_memory`; return whether the system supports it (Linux)."""
    try:
        # Return freed memory to the system: otherwise its reuse would not show as growth.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
    except (OSError, AttributeError):
        return False
    return True


def release_pages(array: NDArray[Any]) -> None:
    """Release the pages of a memory-mapped array that were read.

    They stay in the system's page cache and no longer count as memory of this process.
    """
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
    """Return the line of an out-of-memory error's text that says so, without colour codes.

    TensorFlow's text contains a whole graph.
    """
    lines = [line.strip() for line in COLOURS.sub("", str(error)).splitlines()]
    line = next((line for line in lines if OUT_OF_MEMORY_TEXT.search(line)), "")
    return line[:MAX_SUMMARY] or type(error).__name__
