"""Compare the memory that a run records with that observed from outside, every 10 ms.

Training: the resident memory of the worker that trains, while the command runs. Inference: that of
a new Python process that rebuilds the trained model and predicts one image, from its signal that it
begins, without the code of libraries. Weights are random, which take as much memory. Exits with 1
if a figure differs by more than 5%.

    python benchmarks/memory_check.py [--backbones all] [--input-size 96]
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psutil
from ours import ROOT, write_protocol

sys.path.insert(0, str(ROOT))

from bench.execution.plan import choose_backbones
from bench.registry import load_plugins
from bench.storage.records import read_run

MAX_DIFFERENCE = 0.05
WATCH_SECONDS = 0.01
SEARCH_SECONDS = 0.2  # between two looks for the worker: looking through all processes is slow
IMAGES = 64


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", default="all")
    parser.add_argument("--input-size", type=int, help="the same for all (each one's own)")
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    load_plugins(packages=("backbones",))
    if arguments.answer:
        _answer(arguments.answer)
        return 0
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        write_protocol(work / "short.toml", 1, 1)
        for backbone in choose_backbones(arguments.backbones):
            seen_training = _trained(work, backbone.name, arguments.input_size)
            seen_inference = _answered(work / "results" / backbone.name)
            (record,) = read_run(work / "results" / backbone.name).records
            failed |= _differ(backbone.name, "training", record.memory_bytes, seen_training)
            ours = record.runtimes[0].memory_bytes
            failed |= _differ(backbone.name, "inference", ours, seen_inference)
    return int(failed)


def _differ(name: str, what: str, ours: int | None, seen: int) -> bool:
    told = f"{name:20} {what:10} seen from outside {seen / 1e6:7.1f} MB, recorded"
    if ours is None:
        print(f"{told} nothing", flush=True)
        return True
    print(f"{told} {ours / 1e6:7.1f} MB ({ours / seen - 1:+.1%})", flush=True)
    return abs(ours / seen - 1) > MAX_DIFFERENCE


def _trained(work: Path, name: str, input_size: int | None) -> int:
    """Make a run of one backbone; return the peak memory of its first worker, which trains."""
    options = ["--backbones", name, "--run", name, "--dataset", "demo", "--limit", str(IMAGES)]
    options += ["--protocol", str(work / "short.toml"), "--weights", "random", "--quiet"]
    options += ["--cache", str(work / "cache"), "--results", str(work / "results")]
    options += ["--latency-seconds", "0.1", "--keep-models", "all"]
    options += ["--input-size", str(input_size)] if input_size else []
    command = [sys.executable, str(ROOT / "run_bench.py"), *options]
    with (work / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment())
        worker = _first_child(process)
        peak = _Watch(worker)
        if process.wait():
            sys.exit((work / f"{name}.log").read_text())
    return peak.nbytes


def _first_child(process: subprocess.Popen[bytes]) -> int:
    while process.poll() is None:
        workers = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            # Where they are forked, the first only loads the framework.
            if "bench.execution.worker" in child.cmdline()
            and not ("--fork" in child.cmdline() and child.ppid() == process.pid)
        ]
        if workers:
            return int(min(workers, key=lambda child: child.create_time()).pid)
        time.sleep(SEARCH_SECONDS)
    sys.exit(f"no worker was seen; the command ended with exit code {process.returncode}")


def _answered(folder: Path) -> int:
    """Return the largest growth of a new process that predicts an image with the run's model."""
    command = [sys.executable, __file__, "--answer", str(folder)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()
    )
    assert process.stdin is not None  # both were asked for
    assert process.stdout is not None
    _until(process.stdout, "ready")
    before = _own(psutil.Process(process.pid))
    watch = _Watch(process.pid, _own)
    process.stdin.write("go\n")
    process.stdin.flush()
    _until(process.stdout, "answered")
    process.communicate("")
    return watch.nbytes - before


def _answer(folder: Path) -> None:
    """Predict an image, in the new process, without the harness's measuring of memory."""
    import numpy as np

    from bench.inference.measuring.hardware import MatrixChain
    from bench.models.backends.base import current_backend
    from bench.models.rebuild import rebuild

    backend, run = current_backend(), read_run(folder)
    MatrixChain(side=64, products=1)  # the framework's own start is not the model's
    if sys.platform == "linux":
        # What it freed and kept would be taken again unseen.
        ctypes.CDLL(None).malloc_trim(0)
    print("ready", flush=True)
    sys.stdin.readline()
    model = rebuild(run, run.records[0]).classifier()
    image = np.zeros((1, *model.input_shape[1:]), np.uint8)
    backend.forward(model)(image)
    print("answered", flush=True)
    sys.stdin.read()


def _until(lines: IO[str], word: str) -> None:
    for line in lines:
        if line.strip() == word:
            return
    sys.exit(f"the answering process ended before it was {word}")


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _own(process: psutil.Process) -> int:
    """Return the memory without shared pages, which are those of files such as libraries."""
    memory = process.memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


class _Watch:
    """Records the peak of a process's resident memory, polled until the process has ended."""

    def __init__(self, pid: int, look: Callable[[psutil.Process], int] = _resident) -> None:
        self.nbytes = 0
        self._look = look
        threading.Thread(target=self._watch, args=(psutil.Process(pid),), daemon=True).start()

    def _watch(self, process: psutil.Process) -> None:
        try:
            while True:
                self.nbytes = max(self.nbytes, self._look(process))
                time.sleep(WATCH_SECONDS)
        except psutil.Error:
            return


def _environment() -> dict[str, str]:
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}


if __name__ == "__main__":
    sys.exit(main())
