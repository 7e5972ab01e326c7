"""The top of the page: what was run, the verdict, and what a reader must be warned of."""

from __future__ import annotations

from collections.abc import Mapping

from bench.report import facts
from bench.report.findings import Findings
from bench.report.html.evidence import Seen
from bench.report.html.values import Json, number, text
from bench.report.verdict import Verdict

MOST_FIRST = 5


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json:
    return {
        "name": text(findings.run.name),
        "created": text(findings.run.meta.get("created", "")),
        "verdict": {
            "sentence": text(findings.verdict.sentence),
            "certainty": text(findings.verdict.certainty),
            "first": _first(findings.verdict),
        },
        "facts": [[title, text(what)] for title, what in facts.facts(findings)],
        "warnings": [text(warning) for warning in facts.warnings(findings)],
    }


def _first(verdict: Verdict) -> list[Json]:
    """Who would come first with other images and seeds, and how often."""
    known = [s for s in verdict.standings if s.first]
    known.sort(key=lambda standing: -(standing.first or 0.0))
    return [{"label": text(s.label), "share": number(s.first)} for s in known[:MOST_FIRST]]
