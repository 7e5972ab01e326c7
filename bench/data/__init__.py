"""Data sets: from the value of `--dataset` to uint8 pixels on disk.

    list_dataset   find images, classes and splits; decode nothing
    prepare        decode every image once at all sizes, leave out the bad ones
    recall         what an earlier run has decoded, if it is all in the cache
    undecoded      the data set as listed, before anything is known of its images
    images         the decoded array of one split at one size, for the process that trains
    leave_out      the same data set without some images, such as copies of test images
    restore        decode again what was deleted from the cache

Each kind of source is a file in `sources/`; all end in a `Listing`. Importing this package is
cheap: a function's module is imported when the function is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.listing import Listed, Listing, Reader, cautions, undecoded
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.data.leaving_out import leave_out, restore
    from bench.data.pixels import images
    from bench.data.preparation import prepare, recall
    from bench.storage.cache import Store

__all__ = [
    "Listed",
    "Listing",
    "Reader",
    "images",
    "leave_out",
    "list_dataset",
    "prepare",
    "recall",
    "restore",
    "undecoded",
]
_MODULES = {
    **dict.fromkeys(("leave_out", "restore"), "leaving_out"),
    **dict.fromkeys(("prepare", "recall"), "preparation"),
    "images": "pixels",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def list_dataset(
    spec: str,
    *,
    store: Store,
    split_seed: int = 0,
    limit: int | None = None,
    groups: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Listing:
    """List the images that `spec`, a value of `--dataset`, names, each in its split.

    `split_seed` decides what is carved and which images a limit keeps. It is separate from the
    training seed, so that all training seeds are tested on the same images. `limit` allows at most
    that many training images and cuts the other splits in the same proportion; classes are
    balanced. `groups` is a file that says which images belong together: carving keeps each group in
    one split. `say` is called before steps that may take a while.
    """
    from bench.data.groups import read_groups
    from bench.data.sources import find_source, list_images
    from bench.data.sources.base import ListingOptions
    from bench.data.splits import with_limit

    if groups is not None and not find_source(spec)[0].own_images:
        raise UsageError(f"--groups {groups} names images of yours; give them with --dataset.")
    named = {} if groups is None else read_groups(groups)
    listing = list_images(spec, ListingOptions(store, split_seed, say, named))
    if limit is not None:
        listing = with_limit(listing, limit, split_seed)
    return replace(listing, warnings=cautions(listing))
