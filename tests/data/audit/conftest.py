"""Pictures with different textures, and folders of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import Picture, Prepared

from bench.data import preparation
from bench.data.listing import Listing
from bench.data.sources import list_dataset
from bench.storage.cache import Store
from bench.types import Dataset

SIZE = 64


def draw_picture(seed: int) -> Image.Image:
    """Return soft blobs of colour with finer ones over them, different for each seed."""
    rng = np.random.default_rng(seed)
    coarse, fine = (
        Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8)).resize(
            (96, 96), Image.Resampling.BICUBIC
        )
        for cells in (4, 12)
    )
    return Image.blend(coarse, fine, 0.4)


@pytest.fixture
def picture() -> Picture:
    return draw_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of cats and dogs without faults: 6 + 6, 2 + 2 and 3 + 3 images."""
    counts = {"train": 6, "validation": 2, "test": 3}
    seed = 0
    for split, count in counts.items():
        for title in ("cats", "dogs"):
            place = tmp_path / "images" / split / title
            place.mkdir(parents=True)
            for number in range(count):
                draw_picture(seed).save(place / f"{number}.png")
                seed += 1
    return tmp_path / "images"


@pytest.fixture
def prepared(store: Store) -> Prepared:
    """A folder as the audit gets it."""

    def prepare(folder: Path) -> tuple[Dataset, Listing]:
        listing = list_dataset(str(folder), store=store)
        return preparation.prepare(listing, [SIZE], store=store), listing

    return prepare
