"""Data sources, one per file: where images come from, and how `--dataset` names them.

Importing this package registers every source in this folder, and loads nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.groups import read_groups
from bench.data.listing import Listing
from bench.data.splits import limit_images
from bench.errors import NoDatasetError, UsageError
from bench.registry import Registry, import_modules, require

if TYPE_CHECKING:
    from bench.storage.cache import Store


@dataclass(frozen=True)
class ListingOptions:
    """The arguments of every source besides the name of the data set."""

    store: Store
    split_seed: int
    report: Callable[[str], None]  # called with a message before steps that may take a while
    groups: Mapping[str, str] = field(default_factory=dict)  # by image name in the user's file


@dataclass(frozen=True)
class Source:
    """The declaration of a data source. Its module must import nothing heavy.

    `name` is a keyword ("demo") or, ending in a colon, a prefix ("tfds:"). A source with
    `matches_path` has paths as values instead.
    """

    name: str
    usage: str  # in help texts: "tfds:NAME"
    help: str
    list_images: Callable[[str, ListingOptions], Listing]  # of a value without its prefix
    matches_path: Callable[[Path], bool] | None = None
    own_images: bool = True  # the images are the user's, so `--groups` may name them
    modules: tuple[str, ...] = ()  # optional modules that the source needs
    install: str = ""  # what to `pip install` for them
    loads_code: Callable[[str], bool] = lambda name: False  # whether a value may run foreign code


SOURCES: Registry[Source] = Registry("data source")


def describe_usage() -> str:
    """Return the possible values of `--dataset`, as text."""
    *others, last = sorted((source.usage for source in SOURCES), key=str.lower)
    return f"{', '.join(others)} or {last}"


def find_source(value: str) -> tuple[Source, str]:
    """Return the source of a value of `--dataset`, and the value without its prefix."""
    for source in SOURCES:
        prefix = source.name.endswith(":") and value.startswith(source.name)
        if source.matches_path is None and (prefix or value == source.name):
            return source, value.removeprefix(source.name) if prefix else value
    path = Path(value).expanduser()
    for source in SOURCES:
        if source.matches_path is not None and source.matches_path(path):
            return source, str(path)
    keywords = [s.name for s in SOURCES if s.matches_path is None and not s.name.endswith(":")]
    near = get_close_matches(value.lower(), keywords, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if value != path.name and not path.exists():
        hint = " There is no such folder or file."
    raise NoDatasetError(f"no data set {value!r}.{hint} Use {describe_usage()}.")


def list_dataset(
    value: str,
    *,
    store: Store,
    split_seed: int = 0,
    limit: int | None = None,
    groups: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Listing:
    """Return the listing of a value of `--dataset`: its images by split; decode nothing.

    `split_seed` determines the carved splits and the images that `limit` keeps. It is separate from
    the training seed, so that all training seeds are tested on the same images. `limit` is the
    maximum number of training images; other splits are reduced in proportion, and classes are
    balanced. `groups` is a file of images that belong together: carving keeps each group in one
    split. `say` is called with a message before steps that may take a while.
    """
    source, name = find_source(value)
    if groups is not None and not source.own_images:
        raise UsageError(f"--groups {groups} is for your own images; name them with --dataset.")
    named = {} if groups is None else read_groups(groups)
    require("data source", source)
    listing = source.list_images(name, ListingOptions(store, split_seed, say, named))
    if limit is not None:
        listing = limit_images(listing, limit, split_seed)
    return listing


import_modules(__name__)
