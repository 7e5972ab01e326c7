"""`report.html`, the interactive report, and `results/index.html`, the page of all runs.

document    one self-contained file of data, styles and scripts
blocks      sections of blocks (`bench/reports/sections`) as data
answers     the images behind each cell of the confusion matrices
values      how figures and names go into the data
index       the runs of a results folder
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.analysis.escape import one_line
from bench.analysis.findings import Findings
from bench.data import thumbnails
from bench.reports.blocks import Image, Section, Table
from bench.reports.html.answers import answers
from bench.reports.html.blocks import section_data
from bench.reports.html.document import document

STYLES = ("base.css", "report.css")
SCRIPTS = (
    *("dom.js", "theme.js", "tip.js", "scale.js", "chart.js", "panel.js", "table.js"),
    *("sheet.js", "blocks.js", "confusion.js", "report.js"),
)
MAX_PICTURES = 4_000_000  # bytes of the pictures that tables show


def page(findings: Findings, shown: Sequence[tuple[float, Section]]) -> str:
    """Return the whole `report.html` of these sections, with their places."""
    drawn = {s.name: section_data(s) for _, s in shown if s.about or s.blocks}
    data = {"sections": drawn, "contents": list(drawn)}
    return document(
        f"{one_line(findings.run.name)} – backbone-bench",
        data,
        {
            "answers": answers(findings),
            "pictures": _pictures(findings.run.folder, (section for _, section in shown)),
        },
        styles=STYLES,
        scripts=SCRIPTS,
    )


def _pictures(folder: Path, shown: Iterable[Section]) -> dict[str, str]:
    """Return the pictures that the run kept of its test images, by place in the split, and those
    in tables by path, as far as there is room."""
    found = {str(place): _embedded(jpeg) for place, jpeg in thumbnails.read(folder).items()}
    room = MAX_PICTURES
    tables = (b for section in shown for b in section.blocks if isinstance(b, Table))
    for value in (value for table in tables for row in table.rows for value in row):
        if isinstance(value, Image) and (file := folder / value.path).is_file():
            room -= file.stat().st_size
            if room >= 0:
                found[value.path] = _embedded(file.read_bytes())
    return found


def _embedded(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"
