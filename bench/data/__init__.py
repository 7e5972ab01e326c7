"""Data sets: from a name on the command line to uint8 pixels on disk.

    list_dataset   finds images, classes and splits; decodes nothing
    prepare        decodes every image once at all sizes, leaves out the bad ones
    recall         what an earlier run has decoded, or nothing
    undecoded      the data set as it is listed, before anything is known of its images
    images         the decoded array of one split at one size, for the process that trains
    leave_out      the same data set without some images, as copies of test images
    restore        what is gone from the store, decoded again

One kind of source a file (`folder`, `archive`, `demo`, `tfds`, `auto`); all end in a `Listing`.
Importing this package is cheap: what needs numpy, Pillow or more is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.listing import Listed, Listing, Reader, cautions
from bench.errors import NoDatasetError, UsageError
from bench.types import Dataset, Split, SplitName

if TYPE_CHECKING:
    from bench.storage.cache import Entry, Store

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


def list_dataset(
    spec: str,
    *,
    store: Store,
    split_seed: int = 0,
    limit: int | None = None,
    groups: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Listing:
    """The images of `auto`, `demo`, a folder, `FILE.zip` or `tfds:NAME`, each in its split.

    `split_seed` decides what is carved and which images a limit keeps. It is apart from the
    training seed, so that all training seeds are judged on the same test images. `limit` allows at
    most that many training images and cuts the other splits in the same proportion; classes are
    balanced. `groups` is a file that says which images belong together: what is carved keeps them
    on one side. `say` hears of what may take a while.
    """
    from bench.data.groups import read_groups
    from bench.data.splits import with_limit

    if groups is not None and spec in ("auto", "demo"):
        raise UsageError(f"--groups {groups} names images of yours; give them with --dataset.")
    named = {} if groups is None else read_groups(groups)
    listing = _list(spec, store, split_seed, named, say)
    if limit is not None:
        listing = with_limit(listing, limit, split_seed)
    return replace(listing, warnings=cautions(listing))


def prepare(
    listing: Listing,
    sizes: Sequence[int],
    *,
    store: Store,
    progress: Callable[[int, int], None] = lambda done, total: None,
    before_decoding: Callable[[], None] = lambda: None,
) -> Dataset:
    """Every image decoded at all `sizes`, into the store; `DatasetError` where too few are good.

    `before_decoding` is called where there is anything to decode, before that begins.
    """
    from bench.data import preparation

    return preparation.prepare(
        listing, sizes, store=store, progress=progress, before_decoding=before_decoding
    )


def recall(listing: Listing, sizes: Sequence[int], *, store: Store) -> Dataset | None:
    """What `prepare` would return, where all is in the store already; nothing is decoded."""
    from bench.data import preparation

    return preparation.recall(listing, sizes, store=store)


def undecoded(listing: Listing) -> Dataset:
    """All that is listed, as if no image were bad; without digests, and so without fingerprint."""
    return Dataset(
        name=listing.name,
        description=listing.description,
        classes=listing.classes,
        splits={
            name: Split(tuple(i.id for i in split), tuple(i.label for i in split))
            for name, split in listing.splits.items()
        },
        fingerprint="",
        notes=(*listing.notes, *listing.warnings),
    )


def restore(listing: Listing, dataset: Dataset, sizes: Sequence[int], *, store: Store) -> None:
    """Decode again what somebody deleted from the store; `dataset` is `listing`, prepared before,
    perhaps without some images. `DatasetError` where its files are not what they were."""
    from bench.data import leaving_out

    leaving_out.restore(listing, dataset, sizes, store=store)


def images(dataset: Dataset, split: SplitName, size: int, store: Store) -> Entry:
    """The stored array (images, size, size, 3), in the order of `dataset.splits[split].ids`."""
    from bench.data import pixels

    return pixels.images(dataset, split, size, store)


def leave_out(
    dataset: Dataset, ids: Collection[str], sizes: Sequence[int], *, store: Store, note: str
) -> Dataset:
    """The data set without the images `ids`, also in the store; the user's files stay."""
    from bench.data import leaving_out

    return leaving_out.leave_out(dataset, ids, sizes, store=store, note=note)


def _list(
    spec: str,
    store: Store,
    split_seed: int,
    groups: Mapping[str, str],
    say: Callable[[str], None],
) -> Listing:
    if spec == "demo":
        from bench.data.demo import list_demo

        return list_demo()
    if spec == "auto":
        from bench.data.sources.auto import list_auto

        return list_auto(store=store, split_seed=split_seed, say=say)
    if spec.startswith("tfds:"):
        from bench.data.sources.tfds import list_tfds

        return list_tfds(spec[5:], store=store, split_seed=split_seed, say=say, groups=groups)
    path = Path(spec).expanduser()
    if path.is_dir():
        from bench.data.sources.folder import list_folder

        return list_folder(path, split_seed=split_seed, groups=groups)
    if path.is_file():
        from bench.data.sources.archive import list_archive

        return list_archive(path, store=store, split_seed=split_seed, say=say, groups=groups)
    near = get_close_matches(spec.lower(), ("auto", "demo"), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise NoDatasetError(
        f"no data set {spec!r}.{hint} Give auto, demo, tfds:NAME, a folder or a .zip file."
    )
