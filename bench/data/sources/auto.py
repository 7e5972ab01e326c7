"""The default data set: real photographs of cats and dogs where they can be had, else the demo."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench.data.demo import list_demo
from bench.data.listing import Listing
from bench.data.sources.tfds import NotPreparedError, can_download, find_builder, list_tfds
from bench.data.splits import with_counts
from bench.errors import DatasetError
from bench.storage.cache import Store
from bench.types import SplitName

PHOTOGRAPHS = "cats_vs_dogs"
# What a machine without a GPU trains on in minutes rather than hours.
WITHOUT_GPU: dict[SplitName, int] = {"train": 2000, "validation": 500, "test": 500}


def list_auto(
    *, store: Store, split_seed: int, say: Callable[[str], None], data_dir: Path | None = None
) -> Listing:
    """`tfds:cats_vs_dogs` or `demo`; the description says which one, and why."""
    try:
        builder = find_builder(PHOTOGRAPHS, data_dir)
        prepared = builder.is_prepared()
        if not prepared and not can_download(builder):
            return _demo("is not prepared here and its download does not answer")
        listing = list_tfds(
            PHOTOGRAPHS, store=store, split_seed=split_seed, say=say, data_dir=data_dir
        )
    except NotPreparedError:  # a run would prepare it: the demo would not be what it takes
        raise
    except DatasetError as error:
        return _demo(f"cannot be had ({error})")
    why = "it is prepared here" if prepared else "it could be downloaded"
    if has_gpu():
        return replace(listing, description=f"{listing.description} (auto: {why})")
    listing = with_counts(listing, WITHOUT_GPU, split_seed)
    cut = " / ".join(f"{count:,}" for count in WITHOUT_GPU.values())
    return replace(
        listing, description=f"{listing.description} (auto: {why}; no GPU, so {cut} images of it)"
    )


def _demo(why: str) -> Listing:
    demo = list_demo()
    return replace(demo, description=f"{demo.description} (auto: tfds:{PHOTOGRAPHS} {why})")


def has_gpu() -> bool:
    """A guess that costs nothing; no framework is asked."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()
