"""The top of the page: what was run, the verdict, and what a reader must be warned of."""

from __future__ import annotations

from collections.abc import Mapping

from bench.report import facts
from bench.report.findings import Findings
from bench.report.html.evidence import Seen
from bench.report.html.values import Json, text


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json:
    return {
        "name": text(findings.run.name),
        "created": text(findings.run.meta.get("created", "")),
        "facts": [[title, text(what)] for title, what in facts.facts(findings)],
        "warnings": [text(warning) for warning in facts.warnings(findings)],
    }
