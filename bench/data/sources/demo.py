"""The built-in data set: cartoon cats and dogs, drawn on demand by `bench.data.demo`.

Nothing is downloaded and no file is shipped. Each picture depends only on its id, so it can be
drawn without the others.
"""

from __future__ import annotations

import hashlib
from random import Random

from bench.data.listing import ListedImage, Listing
from bench.data.sources import SOURCES, Source
from bench.types import SPLITS, SplitName

VERSION = 1  # raise it with any change to the drawings: cached pictures are drawn again
CLASSES = ("cats", "dogs")
COUNTS: dict[SplitName, int] = {"train": 100, "validation": 40, "test": 480}


def draw(id: str) -> bytes:
    """Return the picture of an image id as a PPM file."""
    from bench.data.demo import draw_scene

    species = id.split("/")[1]
    seed = hashlib.sha256(f"demo {VERSION} {id}".encode()).hexdigest()
    picture = draw_scene(species, Random(seed))
    # PPM: no compression to spend time on, and any decoder reads it.
    return b"P6\n%d %d\n255\n" % picture.size + picture.tobytes()


def list_demo() -> Listing:
    """Return the listing of the demo; its splits are fixed."""
    splits = {
        split: tuple(
            ListedImage(f"{split}/{title}/{number:04d}", label)
            for label, title in enumerate(CLASSES)
            for number in range(COUNTS[split] // len(CLASSES))
        )
        for split in SPLITS
    }
    return Listing(
        name="demo",
        description="demo: cartoon cats and dogs, drawn by this program",
        classes=CLASSES,
        splits=splits,
        read=draw,
        identity=f"demo {VERSION}",
    )


SOURCES.add(
    Source(
        name="demo",
        usage="demo",
        help="cartoon cats and dogs, drawn here; no download",
        list_images=lambda name, options: list_demo(),
        own_images=False,
    )
)
