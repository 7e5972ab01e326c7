"""The audit before a run: its findings decide whether, and on which images, to train."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence

from PIL import Image

from bench.data import pixels
from bench.data.audit import summary
from bench.data.audit.examination import examine
from bench.data.audit.result import FILE, ImagePair, KeptAudit
from bench.data.audit.summary import leaked_test_ids, train_ids_to_drop, validation_ids_to_drop
from bench.data.listing import Listing
from bench.errors import DatasetError
from bench.storage.cache import Store
from bench.system.files import to_json
from bench.types import Dataset, OnLeak

MIN_SIZE = 96  # pixels: the search needs 48, and the pairs are shown
SHOWN = 24  # pairs of which a picture is kept

NONE = "the images were not audited (--no-audit): copies of test images may be in train"

Progress = Callable[[str, int, int], None]


def pass_through(
    listing: Listing,
    dataset: Dataset,
    sizes: Sequence[int],
    *,
    store: Store,
    on_leak: OnLeak,
    progress: Progress = lambda stage, done, total: None,
) -> tuple[Dataset, KeptAudit]:
    """Return the data set to train on and the audit; `DatasetError` if a leak must fail.

    `dataset` is `listing`, prepared at `sizes`.
    """
    begun = time.perf_counter()
    found = examine(listing, dataset, store, size=audited_size(sizes), progress=progress)
    leaked = leaked_test_ids(found)
    if leaked and on_leak == "fail":
        raise DatasetError(
            f"{summary.leak(found)}. Take them out, or give --on-leak drop to train without them."
        )
    dropped = (*train_ids_to_drop(found), *validation_ids_to_drop(found))
    if on_leak == "drop" and dropped:
        note = f"left out of train and validation, as copies of later splits: {len(dropped):,}"
        dataset = pixels.leave_out(dataset, dropped, sizes, store=store, note=note)
    else:
        dropped = ()
    seconds = time.perf_counter() - begun
    pictures = tuple(f"audit/{n:03d}.jpg" for n in range(1, min(SHOWN, len(found.pairs)) + 1))
    return dataset, KeptAudit(found, leaked, on_leak, dropped, seconds, pictures)


def audited_size(sizes: Sequence[int]) -> int:
    """Return the smallest decoded size that is enough to audit."""
    return min((size for size in sizes if size >= MIN_SIZE), default=max(sizes))


def files(
    kept: KeptAudit | None, dataset: Dataset, sizes: Sequence[int], *, store: Store
) -> Mapping[str, bytes]:
    """Return the files that a run's folder keeps of its audit, by path."""
    if kept is None:
        return {}
    shown = kept.audit.pairs[: len(kept.pictures)]
    drawn = draw_pairs(shown, dataset, store, size=audited_size(sizes)) if shown else ()
    pictures = dict(zip(kept.pictures, drawn, strict=True))
    return {FILE: to_json(kept).encode(), **pictures}


EDGE = 128  # pixels of one image
GAP = 4
QUALITY = 80  # a pair takes about 8 kB


def draw_pairs(
    pairs: Sequence[ImagePair], dataset: Dataset, store: Store, *, size: int
) -> tuple[bytes, ...]:
    """Draw one JPEG a pair, its two images next to each other."""
    splits = dataset.splits
    arrays = {name: pixels.images(dataset, name, size, store).array() for name in splits}
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
