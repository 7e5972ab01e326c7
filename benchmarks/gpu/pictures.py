"""Images for the check: the demo's drawings, with a folder per split."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from bench.data.sources import demo
from bench.types import SplitName

TRAIN_SHARE = 0.9
MIN_OTHER = 8  # images of validation, and of test


def counts(images: int, batch: int) -> dict[SplitName, int]:
    """Return the number of images by split: whole batches for training, the rest in halves."""
    train = max(batch, int(TRAIN_SHARE * images) // batch * batch)
    other = max(MIN_OTHER, (images - train) // 2)
    return {"train": train, "validation": other, "test": other}


def draw(folder: Path, wanted: dict[SplitName, int]) -> None:
    """Draw the missing images on all cores."""
    ids = [
        f"{split}/{demo.CLASSES[number % len(demo.CLASSES)]}/{number:05d}"
        for split, count in wanted.items()
        for number in range(count)
    ]
    for place in {Path(id).parent for id in ids}:
        (folder / place).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(partial(_draw, folder), ids, chunksize=16):
            pass


def _draw(folder: Path, id: str) -> None:
    path = folder / f"{id}.ppm"
    if not path.exists():
        path.write_bytes(demo.draw(id))
