"""The type of the fixture `tree`, which writes small folders of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

Tree = Callable[[Path, Mapping[str, int]], Path]
