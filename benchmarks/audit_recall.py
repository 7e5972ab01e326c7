"""Measure how many planted copies the audit finds, and how many original images it reports.

    python benchmarks/audit_recall.py FOLDER [--each 40]

FOLDER has train/ and validation/ with a folder per class. In a temporary copy of it, altered copies
of training images are added to the validation images, 40 of each kind. A copy is found if it is
paired with its own original. An original image is a false positive if it, or its copy, is paired
with another image. Those may be real duplicates, so they are listed, and `audit FOLDER --out DIR`
draws them.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from bench.data import preparation
from bench.data.audit.gate import find_audit
from bench.data.audit.result import Audit, leaked_test_ids
from bench.data.sources import list_dataset
from bench.storage.cache import Store

SIZE = 160
CROPPED = 0.05


def reencoded(image: Image.Image, rng: random.Random) -> tuple[Image.Image, int]:
    return image, rng.randint(50, 95)


def resized(image: Image.Image, rng: random.Random) -> tuple[Image.Image, int]:
    factor = 2 ** rng.uniform(-1, 1)
    width, height = (round(length * factor) for length in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC), 90


def cropped(image: Image.Image, rng: random.Random) -> tuple[Image.Image, int]:
    """Crop 5% of the width and the height, at a random position."""
    width, height = image.size
    left, top = rng.uniform(0, CROPPED) * width, rng.uniform(0, CROPPED) * height
    box = (left, top, left + (1 - CROPPED) * width, top + (1 - CROPPED) * height)
    return image.crop(tuple(round(edge) for edge in box)), 90  # type: ignore[arg-type]


def trimmed(image: Image.Image, rng: random.Random) -> tuple[Image.Image, int]:
    """Crop 5% off every side, which is harder to find than `cropped`."""
    return ImageOps.crop(image, round(CROPPED * min(image.size))), 90


def brightened(image: Image.Image, rng: random.Random) -> tuple[Image.Image, int]:
    return ImageEnhance.Brightness(image).enhance(rng.choice((0.85, 1.15))), 90


def mirrored(image: Image.Image, rng: random.Random) -> tuple[Image.Image, int]:
    return ImageOps.mirror(image), 90


def greyed(image: Image.Image, rng: random.Random) -> tuple[Image.Image, int]:
    return image.convert("L"), 90


KINDS: dict[str, Callable[[Image.Image, random.Random], tuple[Image.Image, int]]] = {
    "JPEG quality 50-95": reencoded,
    "resized 0.5-2x": resized,
    "crop of 95 %": cropped,
    "5 % off every side": trimmed,
    "brightness +-15 %": brightened,
    "mirrored": mirrored,
    "greyscale": greyed,
}


def plant(folder: Path, target: Path, each: int, seed: int) -> dict[str, tuple[str, str]]:
    """Copy the folder and plant copies; return the kind and the original of each."""
    for split in ("train", "validation"):
        shutil.copytree(folder / split, target / split)
    rng = random.Random(seed)
    originals = sorted(path for path in (target / "train").rglob("*") if path.is_file())
    chosen = rng.sample(originals, each * len(KINDS))
    planted = {}
    for number, original in enumerate(chosen):
        kind = list(KINDS)[number // each]
        with Image.open(original) as image:
            copy, quality = KINDS[kind](image.convert("RGB"), rng)
        name = f"validation/{original.parent.name}/planted-{number:04d}.jpg"
        data = io.BytesIO()
        copy.save(data, "JPEG", quality=quality)
        (target / name).write_bytes(data.getvalue())
        planted[name] = (kind, original.relative_to(target).as_posix())
    return planted


def report(found: Audit, planted: dict[str, tuple[str, str]]) -> None:
    """Print the figures, and the pairs that are false positives."""
    origin = {name: original for name, (_, original) in planted.items()}
    linked = {frozenset((pair.first.id, pair.second.id)): pair.similarity for pair in found.pairs}
    for kind in KINDS:
        mine = [name for name, (of, _) in planted.items() if of == kind]
        similar = [linked.get(frozenset((name, origin[name])), 0.0) for name in mine]
        hits = sum(value > 0 for value in similar)
        print(f"  {kind:20} {hits:3} of {len(mine)} found, least similarity {min(similar):.3f}")
    hits = sum(frozenset(pair) in linked for pair in origin.items())
    print(f"found   {hits} of {len(planted)} ({hits / len(planted):.1%})")
    leaked = set(leaked_test_ids(found))
    print(f"leaked  {len(leaked & set(planted))} of {len(planted)} named as leaked test images")

    strangers = [
        p for p in found.pairs if _origin(p.first.id, origin) != _origin(p.second.id, origin)
    ]
    accused = {_origin(i.id, origin) for pair in strangers for i in (pair.first, pair.second)}
    honest = sum(found.images.values()) - len(planted)
    print(f"accused {len(accused)} of {honest} honest images ({len(accused) / honest:.2%}):")
    for pair in strangers:
        print(f"  {pair.first.id} = {pair.second.id}  {pair.similarity:.3f}")
    for note in found.notes:
        print(f"note    {note}")


def _origin(id: str, origin: dict[str, str]) -> str:
    return origin.get(id, id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=40, help="copies of each kind (40)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=SIZE, help="pixels that images are decoded to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        target, store = Path(temporary) / "images", Store(Path(temporary) / "cache")
        planted = plant(arguments.folder, target, arguments.each, arguments.seed)
        listing = list_dataset(str(target), store=store)
        dataset = preparation.prepare(listing, [arguments.size], store=store)
        found = find_audit(
            listing,
            dataset,
            store,
            size=arguments.size,
            progress=lambda stage, done, total: None,
        )
        report(found, planted)


if __name__ == "__main__":
    main()
