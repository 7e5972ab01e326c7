"""What one trained model takes to be loaded and to answer an image; for a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from bench.inference.measuring.growth import growth
from bench.inference.measuring.products import Chain
from bench.inference.runtimes import RUNTIMES
from bench.inference.runtimes.base import Source
from bench.models.backends.base import current
from bench.models.rebuild import rebuild
from bench.storage.records import load_run


@dataclass(frozen=True)
class Taken:
    """Bytes at most; `None` where that cannot be told."""

    process: int | None = None  # above what it had with the runtime imported, without its code
    device: int | None = None  # on the GPU


def inference_memory(
    folder: Path, key: str, runtime_name: str, artefacts: Path, threads: int
) -> Taken:
    """Of trial `key` of the run in `folder`: the artefact, or where there is none the Keras model,
    made again in here."""
    runtime = RUNTIMES[runtime_name]
    run = load_run(folder)
    record = next(r for r in run.records if r.trial.key == key)
    size = record.trial.input_size
    image = np.zeros((1, size, size, 3), np.uint8)
    for module in runtime.modules:
        import_module(module)
    if not runtime.artefact:
        # A framework that has computed anything has started, which is not the model's doing.
        Chain(current(), side=64, products=1)
    with growth() as grown:
        model = None if runtime.artefact else rebuild(run, record).classifier()
        call = runtime.load(Source(model, image[:0], artefacts, threads))
        call(image)
    return Taken(grown.nbytes, None if runtime.artefact else current().memory_peak())
