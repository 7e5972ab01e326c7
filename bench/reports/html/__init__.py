"""`report.html`, the interactive report, and `results/index.html`, the list of all runs.

blocks      sections as data for the page
index       the runs of a results folder

A page is one self-contained file with its styles, scripts and data. The data are JSON that no
browser parses as markup, and a content security policy allows only the script of this page, so a
class named `<script>` is harmless. Large data are in elements of their own, which the page decodes
on first use.
"""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from bench.analysis.escape import one_line
from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Predictions
from bench.data import thumbnails
from bench.reports.blocks import Image, Section, Table
from bench.reports.galleries import Gallery
from bench.reports.html.blocks import Json, rounded, section_data, text
from bench.types import Split

STATIC = Path(__file__).parent / "static"
SCRIPTS = ("dom.js", "chart.js", "panel.js", "map.js", "table.js", "images.js", "page.js")
DEPTH = 5  # levels of the page's data encoded part by part: down to the rows of tables
BLOCK_DEPTH = 2  # the same for large data: down to the images of a backbone
_AS_CODES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
PER_CELL = 36  # images in a cell of a confusion matrix, the most confident first
PER_BACKBONE = 1500  # images in all cells
MAX_PICTURES = 4_000_000  # bytes of pictures in tables and of training images
FOOTER = "Rendered from the records of the run. Every figure is in summary.csv, in the same folder."


def report_page(findings: Findings, shown: Sequence[Section]) -> Iterator[str]:
    """Return the parts of `report.html` with these sections."""
    pictures = _pictures(findings.run.folder, shown)
    return build_page(findings.run.name, shown, pictures, FOOTER, _predictions(findings))


def build_page(
    title: str,
    shown: Sequence[Section],
    pictures: Mapping[str, bytes],
    footer: str,
    images: Json | None = None,
) -> Iterator[str]:
    """Return the parts of a page of sections, of which the first is its head. `pictures` are JPEG
    files by index in the test split or by path; `images` are those of the confusion matrices."""
    # Converted one by one when they are written, which saves memory.
    drawn = {s.name: partial(section_data, s) for s in shown if s.about or s.blocks}
    embedded = {
        name: f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"
        for name, jpeg in pictures.items()
    }
    return _page_parts(
        f"{one_line(title)} – backbone-bench",
        {"sections": drawn, "footer": footer},
        {"predictions": images, "pictures": embedded},
    )


def _pictures(folder: Path, shown: Iterable[Section]) -> dict[str, bytes]:
    """Return the run's thumbnails of test images, by index, and, up to `MAX_PICTURES` bytes, the
    pictures in tables, by path, and thumbnails of training images."""
    found = {str(place): jpeg for place, jpeg in thumbnails.read_thumbnails(folder).items()}
    blocks = [block for section in shown for block in section.blocks]
    room = MAX_PICTURES
    tables = (block for block in blocks if isinstance(block, Table))
    for value in (value for table in tables for row in table.rows for value in row):
        if isinstance(value, Image) and (file := folder / value.path).is_file():
            room -= file.stat().st_size
            if room >= 0:
                found[value.path] = file.read_bytes()
    galleries = (block for block in blocks if isinstance(block, Gallery))
    shots = (shot for gallery in galleries for sheet in gallery.sheets for shot in sheet.shots)
    trained = thumbnails.read_thumbnails(folder, "train")
    for image in dict.fromkeys(near.image for shot in shots for near in shot.near):
        room -= len(trained.get(image, b""))
        if image in trained and room >= 0:
            found[f"train/{image}"] = trained[image]
    return found


def _predictions(findings: Findings) -> Json:
    """Return the images in the cells (`true,predicted`) of each confusion matrix: index, mean
    confidence, number of seeds."""
    split = findings.run.dataset.splits.get("test", Split((), ()))
    classes = findings.run.dataset.classes
    by_label = {
        n: seeds for n, seeds in findings.predictions.items() if len(seeds[0].labels) == len(split)
    }
    backbones = {text(label): _cells(seeds, len(classes)) for label, seeds in by_label.items()}
    images = {entry[0] for cells in backbones.values() for cell in cells.values() for entry in cell}
    return {
        "classes": list(map(text, classes)),
        "seeds": {text(label): len(seeds) for label, seeds in by_label.items()},
        "files": {i: text(split.ids[i]) for i in sorted(images)},
        "backbones": backbones,
    }


def _cells(
    predictions: Sequence[Predictions], classes: int
) -> dict[str, list[tuple[int, float | None, int]]]:
    labels = predictions[0].labels
    # One code for each pair of image and predicted class, over all seeds.
    images = np.tile(np.arange(len(labels)), len(predictions))
    pairs = images * classes + np.concatenate([one.predicted for one in predictions])
    codes, where, seeds = np.unique(pairs, return_inverse=True, return_counts=True)
    sure = np.bincount(where, np.concatenate([one.confidence for one in predictions])) / seeds
    true, predicted = labels[codes // classes], codes % classes
    cells: dict[str, list[tuple[int, float | None, int]]] = {}
    taken = 0
    # Wrong predictions come first, the most confident ones at the top.
    for place in np.lexsort((-sure, true == predicted)):
        if taken == PER_BACKBONE:
            break
        found = cells.setdefault(f"{true[place]},{predicted[place]}", [])
        if len(found) < PER_CELL:
            found.append((int(codes[place] // classes), rounded(sure[place], 3), int(seeds[place])))
            taken += 1
    return cells


def _page_parts(title: str, data: Mapping[str, Any], blocks: Mapping[str, Any]) -> Iterator[str]:
    """Yield the page of `data`, drawn by the scripts in `static/`; `blocks` are decoded on demand.

    It is yielded in parts, because a page of thousands of trials would take much memory at once.
    """
    style, scripts = _read("page.css"), "\n".join(map(_read, SCRIPTS))
    script = f'"use strict";\n(() => {{\n{scripts}\n}})();'
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        f"img-src data:; base-uri 'none'; form-action 'none'"
    )
    before, _, rest = _read("page.html").partition("$data")
    between, _, after = rest.partition("$blocks")
    yield Template(before).substitute(
        policy=html.escape(policy, quote=False), title=html.escape(title), style=style
    )
    yield from script_json(data)
    yield between
    for name, block in blocks.items():
        yield f'<script type="application/json" id="data-{name}">'
        yield from script_json(block, BLOCK_DEPTH)
        yield "</script>\n"
    yield Template(after).substitute(script=script)


def script_json(value: Any, depth: int = DEPTH) -> Iterator[str]:
    """Yield JSON for a script element, in ASCII without characters that could end the element. A
    value may be a function that returns it; the first `depth` levels are encoded part by part."""
    if callable(value):
        value = value()
    if depth and isinstance(value, Mapping):
        for number, (key, part) in enumerate(value.items()):
            yield f"{',' if number else '{'}{_dump(str(key))}:"
            yield from script_json(part, depth - 1)
        yield "}" if value else "{}"
    elif depth and isinstance(value, list):
        for number, part in enumerate(value):
            yield "," if number else "["
            yield from script_json(part, depth - 1)
        yield "]" if value else "[]"
    else:
        yield _dump(value)


def _dump(value: Any) -> str:
    dense = json.dumps(value, allow_nan=False, separators=(",", ":"), default=lambda make: make())
    return dense.translate(_AS_CODES)


def _read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
