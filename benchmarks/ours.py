"""Make one run of the harness in a process of its own, for other benchmarks to measure."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
PROTOCOL = """
[head]
pooling = "average"
dropout = 0.2
[[phases]]
name = "head"
epochs = {head}
learning_rate = 1e-3
augment = {{ flip = {flip} }}
"""
FINE_TUNE = """
[[phases]]
name = "fine-tune"
epochs = {fine_tune}
learning_rate = 1e-5
unfreeze = {{ stages = 1 }}
augment = {{ flip = {flip} }}
"""
WATCH_SECONDS = 1.0  # to look at all processes takes time that the run would miss
TELLS = ": done, "  # what stands in the line of a finished trial


@dataclass(frozen=True)
class Timed:
    """A timed process: seconds to its first and its last line with a result, that line, and peak
    memory if it was watched, which slows it down a little."""

    first_seconds: float
    seconds: float
    whole_seconds: float  # to its end
    line: str
    peak_mb: float


def write_protocol(path: Path, head: int, fine_tune: int, *, flip: bool = False) -> Path:
    """Write a protocol of both phases, or of the head alone if `fine_tune` is 0."""
    text = PROTOCOL + (FINE_TUNE if fine_tune else "")
    path.write_text(text.format(head=head, fine_tune=fine_tune, flip=str(flip).lower()))
    return path


def run_bench(options: Sequence[str], *, watched: bool = False) -> Timed:
    """Time `run_bench.py` with these options, to the accuracy of its last trial."""
    command = [sys.executable, str(ROOT / "run_bench.py"), "--latency-seconds", "0.1", *options]
    return timed(command, TELLS, watched=watched)


def timed(command: Sequence[str], tells: str, *, watched: bool = False) -> Timed:
    """Run a command and time it; end this process if the command fails."""
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    env["PYTHONUNBUFFERED"] = "1"
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    peak = [0.0]
    if watched:
        threading.Thread(target=_watch, args=(process.pid, peak), daemon=True).start()
    assert process.stdout is not None  # it was asked for
    told, first, seconds = "", 0.0, 0.0
    for line in process.stdout:
        if tells in line:
            told, seconds = line, time.perf_counter() - start
            first = first or seconds
    if process.wait() or not told:
        sys.exit(f"{' '.join(command)} ended with exit code {process.returncode}")
    return Timed(first, seconds, time.perf_counter() - start, told, peak[0])


def _watch(pid: int, peak: list[float]) -> None:
    """Return the peak memory of the process and its children, with shared pages counted once."""
    try:
        process = psutil.Process(pid)
        while process.is_running():
            family = [process, *process.children(recursive=True)]
            peak[0] = max(peak[0], sum(_share(p) for p in family) / 1e6)
            time.sleep(WATCH_SECONDS)
    except psutil.Error:
        return


def _share(process: psutil.Process) -> int:
    """Return a process's memory with its part of shared pages, or with all of them if unknown."""
    try:
        memory = process.memory_full_info()
    except psutil.Error:  # a child that ended just now; the others go on
        return 0
    return int(getattr(memory, "pss", memory.rss))
