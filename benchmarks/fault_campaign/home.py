"""One user's folders: images, an archive of them, a plugin, a protocol, weights, cache and results.

Each case begins with a copy of a state that was kept: `cold`, nothing computed yet, or `warm`, one
finished run `r` and the cache that it left.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 32
SPLITS = {"train": 24, "test": 12}
CLASSES = ("cat", "dog & co")
BACKBONES = ("small", "tiny")
SEEDS = 2
USERS = ("data", "photos.zip", "plugin.py", "mine.toml", "weights")  # nothing may change these
PROTOCOL = """
[head]
dropout = 0.2
[[phases]]
name = "head"
epochs = 2
learning_rate = 1e-2
augment = { flip = true }
[[phases]]
name = "fine-tune"
epochs = 2
learning_rate = 1e-3
unfreeze = { stages = 1 }
"""
PLUGIN = """
from bench.registry import BACKBONES
from bench.types import Backbone


def build(input_shape, include_top=False, weights=None):
    import keras

    image = keras.Input(input_shape)
    x = keras.layers.Conv2D(4, 3, strides=4, activation="relu", name="one")(image)
    x = keras.layers.Conv2D(6, 3, strides=2, activation="relu", name="two")(x)
    return keras.Model(image, x)


def preprocess(x):
    return x / 127.5 - 1.0


for name in ("small", "tiny"):
    BACKBONES.add(Backbone(name, build, preprocess, 32, ("one", "two"), minimum_size=16))
"""


class Home:
    """The paths of the folders; `keep` and `restore` save and load their states."""

    def __init__(self, work: Path) -> None:
        self.root = work / "home"
        self.kept = work / "kept"
        self.data, self.archive = self.root / "data", self.root / "photos.zip"
        self.cache, self.results = self.root / "cache", self.root / "results"
        self.temporary = self.root / "tmp"

    def lay_out(self) -> None:
        """Write the user's files, as the state `cold`."""
        rng = np.random.default_rng(0)
        for split, count in SPLITS.items():
            for number in range(count):
                write_image(self.data / split / CLASSES[number % 2] / f"{number:03d}.png", rng)
        with zipfile.ZipFile(self.archive, "w") as archive:
            for path in sorted(self.data.rglob("*.png")):
                archive.write(path, path.relative_to(self.data))
        (self.root / "plugin.py").write_text(PLUGIN)
        (self.root / "mine.toml").write_text(PROTOCOL)
        (self.root / "weights").mkdir()
        for name in BACKBONES:
            (self.root / "weights" / f"{name}.h5").write_bytes(name.encode())
        self.temporary.mkdir()
        self.keep("cold")

    def keep(self, state: str) -> None:
        _copy(self.root, self.kept / state)

    def restore(self, state: str) -> None:
        shutil.rmtree(self.root)
        _copy(self.kept / state, self.root)

    def run(self, *more: str, name: str = "r", data: Path | None = None) -> list[str]:
        """Return the arguments for a run of both backbones with two seeds."""
        return [
            *("run", "--backbones", ",".join(BACKBONES), "--plugin", "plugin.py"),
            *("--dataset", str(data or self.data), "--protocol", "mine.toml"),
            *("--weights", "weights", "--batch-size", "8", "--seeds", str(SEEDS)),
            *("--results", "results", "--cache", "cache", "--latency-seconds", "0.01"),
            *("--run", name, *more),
        ]

    def users_files(self) -> dict[Path, str]:
        """Return the digests of the user's own files in the state `cold`."""
        files = [path for top in USERS for path in _files(self.kept / "cold" / top)]
        names = [path.relative_to(self.kept / "cold") for path in files]
        return {name: _digest(self.root / name) for name in names}


def write_image(path: Path, rng: np.random.Generator) -> None:
    """Write noise in large cells, of which the audit finds no copies."""
    cells = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cells).resize((SIZE, SIZE), Image.Resampling.BILINEAR).save(path)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if p.is_file()]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "gone"
