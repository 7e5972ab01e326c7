"""The pairs as pictures: whether two images are one is best seen."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from bench import data as datasets
from bench.data.audit.findings import Pair
from bench.storage.cache import Store
from bench.types import Dataset

EDGE = 128  # pixels of one image
GAP = 4
QUALITY = 80  # a pair takes about 8 kB


def draw_pairs(
    pairs: Sequence[Pair], dataset: Dataset, store: Store, *, size: int
) -> tuple[bytes, ...]:
    """One JPEG a pair, its two images side by side."""
    splits = dataset.splits
    arrays = {name: datasets.images(dataset, name, size, store).array() for name in splits}
    places = {
        (name, id): place for name, split in splits.items() for place, id in enumerate(split.ids)
    }
    drawn = []
    for pair in pairs:
        both = Image.new("RGB", (2 * EDGE + GAP, EDGE), "white")
        for side, image in enumerate((pair.first, pair.second)):
            pixels = arrays[image.split][places[image.split, image.id]]
            small = Image.fromarray(pixels).resize((EDGE, EDGE), Image.Resampling.LANCZOS)
            both.paste(small, (side * (EDGE + GAP), 0))
        data = io.BytesIO()
        both.save(data, "JPEG", quality=QUALITY, optimize=True)
        drawn.append(data.getvalue())
    return tuple(drawn)
