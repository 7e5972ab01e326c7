"""`report.html`, the interactive report, and `results/index.html`, the page of all runs.

document    one self-contained file of data, styles and scripts
blocks      sections of blocks (`bench/reports/sections`) as data
sections/   what only this page has: a file of data each, drawn by its namesake in `static/`
values      how figures and names go into the data
index       the runs of a results folder
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from bench.analysis.escape import one_line
from bench.analysis.findings import Findings
from bench.data import thumbnails
from bench.reports.html.blocks import section_data
from bench.reports.html.document import document
from bench.reports.html.sections import OWN, audit, confusion, overview
from bench.reports.sections import sections

STYLES = ("base.css", "report.css")
SCRIPTS = (
    *("dom.js", "theme.js", "tip.js", "scale.js", "chart.js", "table.js", "sheet.js"),
    *("blocks.js", "overview.js"),
)
DRAWINGS = (
    "certainty.js",
    "calibration.js",
    "curves.js",
    "learning.js",
    "latency.js",
    "mistakes.js",
)


def page(findings: Findings) -> str:
    """Return the whole `report.html`."""
    data: dict[str, Any] = {"overview": overview.data(findings), "sections": {}}
    places: dict[str, float] = {}
    for name, (place, own) in OWN.items():
        if (found := own(findings)) is not None:
            data[name], places[name] = found, place
    for place, section in sections(findings):
        shown = section_data(section)
        if shown["about"] or shown["blocks"]:
            data["sections"][section.name], places[section.name] = shown, place
    data["contents"] = sorted(places, key=lambda name: places[name])
    return document(
        f"{one_line(findings.run.name)} – backbone-bench",
        data,
        {
            "answers": confusion.answers(findings),
            "pictures": _pictures(findings),
            "audit_pictures": audit.pictures(findings),
        },
        styles=STYLES,
        scripts=(*SCRIPTS, *DRAWINGS, *(f"{name}.js" for name in OWN), "report.js"),
    )


def _pictures(findings: Findings) -> dict[int, str]:
    """Return the pictures that the run kept of its test images, by place in the split."""
    return {
        place: f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"
        for place, jpeg in thumbnails.read(findings.run.folder).items()
    }
