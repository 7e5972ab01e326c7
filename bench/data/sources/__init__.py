"""Data sources, one a file: where images come from.

A new file in this folder is found by itself: importing this package registers every source.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from bench.data.listing import Listing
from bench.data.sources.base import SOURCES, ListingOptions, Source
from bench.errors import DatasetError, NoDatasetError
from bench.registry import import_modules, lacking

__all__ = ["SOURCES", "any_usage", "find_source", "list_images"]

import_modules(__name__)


def any_usage() -> str:
    """Return what `--dataset` may be given, in a few words."""
    *others, last = sorted((source.usage for source in SOURCES), key=str.lower)
    return f"{', '.join(others)} or {last}"


def find_source(value: str) -> tuple[Source, str]:
    """Return the source that a value of `--dataset` names, and the value without its prefix."""
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
    raise NoDatasetError(f"no data set {value!r}.{hint} Give {any_usage()}.")


def list_images(value: str, options: ListingOptions) -> Listing:
    """List the images of the data set that `value` names."""
    source, name = find_source(value)
    if missing := lacking("data source", source):
        raise DatasetError(missing)
    return source.list_images(name, options)
