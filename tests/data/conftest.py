"""Small folders of images, for the tests of `bench/data`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image
from trees import Tree


@pytest.fixture
def tree() -> Tree:
    """`tree(root, {"train/cats": 3})` makes three images, each of its own colour."""

    def make(root: Path, counts: Mapping[str, int]) -> Path:
        for number, (folder, count) in enumerate(counts.items()):
            (root / folder).mkdir(parents=True)
            for k in range(count):
                colour = (40 * number, k, 255 - k)
                Image.new("RGB", (12, 8), colour).save(root / folder / f"{k:03d}.png")
        return root

    return make
