"""The sections of the reports, one in each file; a new file in this folder is found by itself.

Each file defines `section(findings)`, which returns a `Section`, or `None` if the run has no data
for it, and `PLACE`, by which sections are sorted. The section then appears in `report.md`,
`report.html` and `report RUN --section NAME`.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from bench.analysis.findings import Findings
from bench.reports.blocks import Section


def sections(findings: Findings) -> list[Section]:
    """Return the sections for which the run has data, in order."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    modules.sort(key=lambda module: module.PLACE)
    return [found for one in modules if (found := one.section(findings)) is not None]
