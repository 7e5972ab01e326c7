"""One trained model through one runtime: converted, loaded, asked every test image."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from bench.errors import TrialError
from bench.inference.runtimes import REFERENCE, Call, ModelSource, Runtime
from bench.models.backends.base import Array
from bench.types import RuntimeResult

ANSWER_BATCH = 8
# Of a probability, by precision: rounding changes it less, other weights more.
REFERENCE_TOLERANCE = {"float32": 0.01, "mixed_float16": 0.05, "mixed_bfloat16": 0.3}


@dataclass
class Deployment:
    """A runtime that is ready to answer, and what preparing it took."""

    result: RuntimeResult
    call: Call
    seconds_an_image: float  # one image at a time, warm
    probabilities: Array | None  # of every test image; those of the reference are known


def deploy(runtime: Runtime, source: ModelSource, images: Array, expected: Array) -> Deployment:
    """Convert and load a model; `expected` are its probabilities for `images` after training."""
    begun = time.perf_counter()
    runtime.convert(source)
    converted = time.perf_counter() - begun
    begun = time.perf_counter()
    call = runtime.load(source)
    call(np.asarray(images[:1]))
    loaded = time.perf_counter() - begun
    begun = time.perf_counter()
    call(np.asarray(images[:1]))
    seconds_an_image = time.perf_counter() - begun
    if runtime.name == REFERENCE:
        tolerance = REFERENCE_TOLERANCE[source.model.dtype_policy.name]
        _check_same(predict_all(call, images[:ANSWER_BATCH]), expected[:ANSWER_BATCH], tolerance)
    result = RuntimeResult(
        runtime.name,
        compile_seconds=loaded,
        artefact=runtime.artefact,
        artefact_bytes=_size(source, runtime),
        convert_seconds=converted if runtime.artefact else 0.0,
    )
    known = runtime.name == REFERENCE
    return Deployment(result, call, seconds_an_image, None if known else predict_all(call, images))


def predict_all(call: Call, images: Array) -> Array:
    """Return probabilities of all images, one column per class, in batches of one size."""
    found = []
    for start in range(0, len(images), ANSWER_BATCH):
        rows = images[start : start + ANSWER_BATCH]
        full = np.resize(rows, (ANSWER_BATCH, *rows.shape[1:]))
        # A copy: a runtime may reuse the memory of its answer.
        found.append(np.array(call(full)[: len(rows)], dtype=np.float64))
    whole = np.concatenate(found)
    return np.hstack([1 - whole, whole]) if whole.shape[1] == 1 else whole


def _check_same(found: Array, expected: Array, tolerance: float) -> None:
    difference = float(np.abs(found - expected).max())
    if not difference < tolerance:
        raise TrialError(
            f"the model rebuilt from its kept weights answers differently from the trained one: "
            f"probabilities differ by up to {difference:.3f}."
        )


def _size(source: ModelSource, runtime: Runtime) -> int:
    """Return the bytes of the artefact and of files that belong to it, as OpenVINO's weights."""
    if not runtime.artefact:
        return 0
    stem = runtime.artefact.rsplit(".", 1)[0]
    return sum(path.stat().st_size for path in source.folder.glob(f"{stem}.*"))
