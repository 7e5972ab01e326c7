"""Compare the time of `predict` with that of its parts: decoding alone, and forward passes alone.

    python benchmarks/predict_speed.py RUN BACKBONE FOLDER [--images 1000] [--results DIR]

The parts are timed as in a plain script, one after the other: decoding of all images in as many
threads as `predict` has, then batches through the compiled model without folding. The target is at
most 1.3 times their sum.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bench.data.decode import THREADS, decode
from bench.inference.prediction import BATCH, decode_ahead, find_images, predict_batches
from bench.models.rebuild import find_record, rebuild
from bench.registry import load_plugins
from bench.storage.records import read_run
from bench.storage.run_folder import find_run

TARGET = 1.3


def main() -> None:
    """Time all three twice, and print the better times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("backbone")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--results", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    load_plugins((), ("backbones",))
    run = read_run(find_run(arguments.results, arguments.run))
    record = find_record(run, arguments.backbone)
    size = record.trial.input_size
    paths = find_images([arguments.folder])[: arguments.images]

    from bench.models.backends.base import current_backend

    backend, model = current_backend(), rebuild(run, record)
    bare = backend.forward(model.logits(fold=False))
    folded = backend.forward(model.logits(fold=True))
    empty = np.zeros((BATCH, size, size, 3), "uint8")
    for forward in (bare, folded):
        forward(empty)  # compiles

    def decoding() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda path: decode(path.read_bytes(), [size]), paths))

    def passing() -> None:
        for _ in range(-(-len(paths) // BATCH)):
            bare(empty)

    def predicting() -> None:
        with decode_ahead(paths, size) as images:
            assert len(list(predict_batches(images, len(paths), [(size, folded)]))) == len(paths)

    parts = [_seconds(work) for work in (decoding, passing, predicting)]
    decode_seconds, forward_seconds, predict_seconds = parts
    ratio = predict_seconds / (decode_seconds + forward_seconds)
    print(f"{len(paths)} images, {arguments.backbone} at {size} px")
    print(f"decoding {decode_seconds:.2f} s, forward passes {forward_seconds:.2f} s")
    print(f"predict {predict_seconds:.2f} s, {ratio:.2f} times their sum (target {TARGET})")


def _seconds(work: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(2):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best


if __name__ == "__main__":
    main()
