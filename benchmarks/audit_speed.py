"""Measure the time and memory of the audit, without decoding.

    python benchmarks/audit_speed.py [--images 25000] [--size 160] [--alike]

The images are generated straight into the store's arrays, as decoding would have left them: blurred
noise with the spectrum of photographs, and one in a hundred a copy of another (cropped, mirrored or
darkened). With --alike all share one strong frame, so that each resembles thousands of others: the
worst case for the search.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from bench.data.audit.gate import find_audit
from bench.data.audit.result import leaked_test_ids
from bench.data.listing import Listing
from bench.data.pixels import KIND, array_bytes, cache_parts
from bench.data.sources.demo import draw
from bench.storage.cache import Store
from bench.types import Dataset, Split, SplitName

CHUNK = 250
SHARES: dict[SplitName, float] = {"train": 0.7, "validation": 0.1, "test": 0.2}
COPY_EVERY = 100


def pictures(count: int, size: int, seed: int, alike: bool) -> Iterator[NDArray[np.uint8]]:
    """Yield chunks of images, each of shape (CHUNK, size, size, 3)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    falling = 1 / np.maximum(np.hypot(rows, columns), 1 / size)  # as in photographs: 1 / frequency
    frame = np.ones((size, size), bool)
    frame[size // 4 : -size // 4, size // 4 : -size // 4] = False
    for start in range(0, count, CHUNK):
        number = min(CHUNK, count - start)
        noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(number, size, size))) * falling)
        noise /= noise.std(axis=(1, 2), keepdims=True)
        grey = np.clip(128 + 50 * noise, 0, 255)
        if alike:
            grey[:, frame] = 255
        tint = rng.uniform(0.7, 1, (number, 1, 1, 3))
        yield (grey[..., None] * tint).astype(np.uint8)


def altered(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    if number % 3 == 0:
        return image[:, ::-1]
    if number % 3 == 1:
        return (image * 0.85).astype(np.uint8)
    edge = len(image)
    cut = round(0.05 * edge)
    inner = Image.fromarray(image[cut:, : edge - cut])
    return np.asarray(inner.resize((edge, edge), Image.Resampling.BILINEAR))


def generate(store: Store, images: int, size: int, alike: bool) -> tuple[Dataset, int]:
    """Return a data set of generated images, with arrays in the store, and its number of copies."""
    splits: dict[SplitName, Split] = {}
    copied: list[NDArray[np.uint8]] = []
    planted = 0
    for seed, (name, share) in enumerate(SHARES.items()):
        count = round(images * share)
        writer = store.begin_draft(KIND, name, array_bytes(count, size))
        for chunk in pictures(count, size, seed, alike):
            if name == "train":
                copied += list(chunk[::COPY_EVERY])
            elif name == "test":
                for row in range(0, len(chunk), COPY_EVERY // 2):
                    chunk[row] = altered(copied[planted % len(copied)], planted)
                    planted += 1
            writer.append(chunk)
        split = Split(
            ids=tuple(f"{name}/{n:06d}" for n in range(count)),
            labels=tuple(n % 2 for n in range(count)),
            digests=tuple(f"{seed}{n:063d}" for n in range(count)),
        )
        writer.commit(cache_parts(split, size), 0.0)
        splits[name] = split
    return Dataset("generated", "", ("a", "b"), splits, "generated"), planted


class Watch:
    """Records the peak of the process's private memory inside a `with` block."""

    def __enter__(self) -> Watch:
        self._stop = threading.Event()
        self.before = self.peak = self._private()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *problem: Any) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            self.peak = max(self.peak, self._private())

    @staticmethod
    def _private() -> int:
        memory = psutil.Process().memory_info()
        return int(memory.rss - getattr(memory, "shared", 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=25_000)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--alike", action="store_true", help="all share a frame: the worst case")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        store = Store(Path(temporary))
        dataset, planted = generate(store, arguments.images, arguments.size, arguments.alike)
        # No file is opened: the names of what was generated say no format.
        listing = Listing("generated", "", dataset.classes, {}, draw, "")
        stages: dict[str, float] = {}
        last = time.perf_counter()

        def progress(stage: str, done: int, total: int) -> None:
            nonlocal last
            now = time.perf_counter()
            stages[stage] = stages.get(stage, 0.0) + now - last
            last = now

        processor = time.process_time()
        begun = last = time.perf_counter()
        with Watch() as watch:
            found = find_audit(listing, dataset, store, size=arguments.size, progress=progress)
        seconds = time.perf_counter() - begun
        processor = time.process_time() - processor
        again = time.perf_counter()
        find_audit(listing, dataset, store, size=arguments.size, progress=progress)
        again = time.perf_counter() - again
    for stage, spent in stages.items():
        print(f"  {stage:12} {spent:7.1f} s")
    print(f"{arguments.images:,} images: {seconds:.1f} s ({processor:.1f} s of processor time)")
    print(f"second time {again:.2f} s")
    print(
        f"memory: {(watch.peak - watch.before) / 1e6:,.0f} MB more than before, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB at the utmost in all"
    )
    print(f"bar {found.threshold}, {found.compared:,} pairs compared, {len(found.pairs):,} copies")
    print(f"{len(leaked_test_ids(found))} test images named, {planted} copies planted")
    for note in found.notes:
        print(f"note: {note}")


if __name__ == "__main__":
    main()
