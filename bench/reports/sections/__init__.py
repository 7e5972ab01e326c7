"""The topics of the reports, one a file; a new file in this folder is found by itself.

Each file has `section(findings)`, which returns a `Section` or, where the run has nothing for it,
`None`, and `PLACE`, its position among the others. The section then appears in `report.md`,
`report.html` and `report RUN --section NAME`.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from bench.analysis.findings import Findings
from bench.reports.blocks import Section


def sections(findings: Findings) -> list[Section]:
    """Return all that the run has something for, in order."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    modules.sort(key=lambda module: module.PLACE)
    return [found for one in modules if (found := one.section(findings)) is not None]
