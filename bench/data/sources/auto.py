"""The default data set: photographs of cats and dogs if available, otherwise the demo."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from bench.data.listing import Listing
from bench.data.sources import SOURCES, ListingOptions, Source
from bench.data.sources.demo import list_demo
from bench.data.sources.tfds import NotPreparedError, can_download, find_builder, list_tfds
from bench.data.splits import draw_subset
from bench.errors import DatasetError
from bench.types import SplitName

PHOTOGRAPHS = "cats_vs_dogs"
# A subset that a machine without a GPU trains on in minutes rather than hours.
COUNTS_WITHOUT_GPU: dict[SplitName, int] = {"train": 2000, "validation": 500, "test": 500}


def list_auto(options: ListingOptions, data_dir: Path | None = None) -> Listing:
    """Return the listing of `tfds:cats_vs_dogs` or `demo`; its description says which and why."""
    try:
        builder = find_builder(PHOTOGRAPHS, data_dir)
        prepared = builder.is_prepared()
        if not prepared and not can_download(builder):
            return _list_demo_instead("is not prepared here and its host does not respond")
        listing = list_tfds(PHOTOGRAPHS, options, data_dir)
    except NotPreparedError:  # a run, unlike a dry run, would prepare it and not use the demo
        raise
    except DatasetError as error:
        return _list_demo_instead(f"is not available ({str(error).rstrip('.')})")
    why = "it is prepared here" if prepared else "it could be downloaded"
    if has_gpu():
        return replace(listing, description=f"{listing.description} (auto: {why})")
    listing = draw_subset(listing, COUNTS_WITHOUT_GPU, options.split_seed)
    cut = " / ".join(f"{count:,}" for count in COUNTS_WITHOUT_GPU.values())
    return replace(
        listing, description=f"{listing.description} (auto: {why}; no GPU, so {cut} images of it)"
    )


def _list_demo_instead(why: str) -> Listing:
    demo = list_demo()
    return replace(demo, description=f"{demo.description} (auto: tfds:{PHOTOGRAPHS} {why})")


def has_gpu() -> bool:
    """Return whether this machine seems to have an NVIDIA GPU, without loading a framework."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


SOURCES.add(
    Source(
        name="auto",
        usage="auto",
        help=f"tfds:{PHOTOGRAPHS} if available, otherwise demo (the default)",
        list_images=lambda name, options: list_auto(options),
        own_images=False,
    )
)
