"""The pairs as a picture: whether two images are one is best seen."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench import datasets
from bench.audit.findings import Audit, Located, Pair
from bench.files import write_atomic
from bench.store import Store
from bench.types import Dataset, SplitName

SHOWN = 150  # pixels of one image
GAP = 10
LINE = 15
COLUMNS = 3  # pairs beside each other
INK, FAINT, ALARM, PAPER = "#222222", "#777777", "#b3261e", "#ffffff"


def draw(
    found: Audit, dataset: Dataset, store: Store, path: Path, *, size: int, limit: int
) -> Path | None:
    """See `bench.audit.contact_sheet`."""
    pairs = sorted(found.pairs, key=_harm)[:limit]
    if not pairs:
        return None
    pixels = _Pixels(dataset, store, size)
    width, height = 2 * SHOWN + 3 * GAP, SHOWN + 4 * LINE + GAP
    columns = min(COLUMNS, len(pairs))
    rows = -(-len(pairs) // columns)
    sheet = Image.new("RGB", (columns * width + GAP, rows * height + GAP), PAPER)
    for number, pair in enumerate(pairs):
        left, top = GAP + number % columns * width, GAP + number // columns * height
        _draw_pair(sheet, pair, found.classes, pixels, left, top)
    data = io.BytesIO()
    sheet.save(data, "PNG", optimize=True)
    write_atomic(path, data.getvalue())
    return path


def _harm(pair: Pair) -> tuple[bool, bool, float]:
    return (not pair.conflicting, not pair.across, -pair.similarity)


class _Pixels:
    """Finds an image's decoded pixels by its name."""

    def __init__(self, dataset: Dataset, store: Store, size: int) -> None:
        self._places: dict[tuple[SplitName, str], NDArray[np.uint8]] = {}
        for name, split in dataset.splits.items():
            array = datasets.images(dataset, name, size, store).array()
            self._places |= {(name, id): row for id, row in zip(split.ids, array, strict=True)}

    def __getitem__(self, image: Located) -> NDArray[np.uint8]:
        return self._places[image.split, image.id]


def _draw_pair(
    sheet: Image.Image, pair: Pair, classes: Sequence[str], pixels: _Pixels, left: int, top: int
) -> None:
    pen = ImageDraw.Draw(sheet)
    how = "the same file" if pair.kind == "exact" else f"near, {pair.similarity:.3f}"
    _write(pen, left, top, how + (", mirrored" if pair.mirrored else ""), FAINT)
    for number, image in enumerate((pair.first, pair.second)):
        x, y = left + number * (SHOWN + GAP), top + LINE
        picture = Image.fromarray(pixels[image])
        sheet.paste(picture.resize((SHOWN, SHOWN), Image.Resampling.BILINEAR), (x, y))
        y += SHOWN + 2
        _write(pen, x, y, image.split, ALARM if pair.across else INK)
        _write(pen, x, y + LINE, classes[image.label], ALARM if pair.conflicting else INK)
        _write(pen, x, y + 2 * LINE, image.id, FAINT)


def _write(pen: ImageDraw.ImageDraw, x: int, y: int, text: str, colour: str) -> None:
    """One line, its end cut off to fit: of a path, the end is what tells the file."""
    font = ImageFont.load_default(11)
    whole = text
    while pen.textlength(text, font) > SHOWN and len(text) > 4:
        whole = whole[1:]
        text = f"…{whole}"
    pen.text((x, y), text, fill=colour, font=font)
