"""`report.html`, the interactive report, and `results/index.html`, the page of all runs.

    document    one self-contained file of data, styles and scripts
    values      how figures and names go into the data
    sections/   the content: a file a section, each the data of what `static/` draws
    index       the runs of a results folder

A section is a file in `sections/` with its data, and a file of the same name in `static/`, which
draws it; it appears if there are data. Tables use the same columns as every other format.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from bench.analysis.escape import one_line
from bench.analysis.findings import Findings
from bench.data import thumbnails
from bench.reports.html.document import document
from bench.reports.html.evidence import gather
from bench.reports.html.sections import SECTIONS, audit, confusion, overview

STYLES = ("base.css", "report.css")
SCRIPTS = ("dom.js", "theme.js", "tip.js", "scale.js", "chart.js", "table.js", "sheet.js")


def page(findings: Findings) -> str:
    """Return the whole `report.html`."""
    seen = gather(findings)
    data: dict[str, Any] = {"overview": overview.data(findings, seen)}
    for name, section in SECTIONS.items():
        found = section(findings, seen)
        if found is not None:
            data[name] = found
    return document(
        f"{one_line(findings.run.name)} – backbone-bench",
        data,
        {
            "answers": confusion.answers(findings, seen),
            "pictures": _pictures(findings),
            "audit_pictures": audit.pictures(findings),
        },
        styles=STYLES,
        scripts=(*SCRIPTS, "overview.js", *(f"{name}.js" for name in SECTIONS), "report.js"),
    )


def _pictures(findings: Findings) -> dict[int, str]:
    """Return the pictures that the run kept of its test images, by place in the split."""
    return {
        place: f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"
        for place, jpeg in thumbnails.read(findings.run.folder).items()
    }
