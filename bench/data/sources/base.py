"""What a data source is: a kind of place that images come from, and how `--dataset` names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.listing import Listing
from bench.registry import Registry

if TYPE_CHECKING:
    from bench.storage.cache import Store


@dataclass(frozen=True)
class ListingOptions:
    """What every source is given besides the name of the data set."""

    store: Store
    split_seed: int
    report: Callable[[str], None]  # called before steps that may take a while
    groups: Mapping[str, str] = field(default_factory=dict)  # as a user's file names them


@dataclass(frozen=True)
class Source:
    """A data source, as its file declares it. Declaring one must import nothing heavy.

    `name` is a keyword ("demo") or, ending in a colon, a prefix ("tfds:"); a source with
    `matches_path` is recognised by the path that it is given instead.
    """

    name: str
    usage: str  # how help texts show it: "tfds:NAME"
    help: str
    list_images: Callable[[str, ListingOptions], Listing]  # of the value, without its prefix
    matches_path: Callable[[Path], bool] | None = None
    own_images: bool = True  # the user's own: `--groups` may name them
    modules: tuple[str, ...] = ()  # that it needs besides the core
    install: str = ""  # what to `pip install` to have them
    loads_code: Callable[[str], bool] = lambda name: False  # whether a value may run foreign code


SOURCES: Registry[Source] = Registry("data source")
