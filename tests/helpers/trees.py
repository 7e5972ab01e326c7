"""The types of fixtures that make images: small folders of them, or pictures for the audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from bench.data.listing import Listing
from bench.types import Dataset

Tree = Callable[[Path, Mapping[str, int]], Path]
Picture = Callable[[int], Image.Image]
Prepared = Callable[[Path], tuple[Dataset, Listing]]
