"""The top of the page: what was run, the verdict, and the warnings."""

from __future__ import annotations

from bench.analysis import facts
from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.verdict import MAX_SENTENCE, Verdict
from bench.reports.html.values import Json, number, text

MAX_FIRST = 5


def data(findings: Findings) -> Json:
    return {
        "name": text(findings.run.name),
        "created": text(findings.run.meta.created),
        "verdict": {
            "sentence": text(findings.verdict.sentence, MAX_SENTENCE),
            "certainty": text(findings.verdict.certainty, MAX_SENTENCE),
            "about": f"P(first): how often each is first with {findings.verdict.redrawn}",
            "first": _first(findings.verdict),
        },
        "facts": [[title, text(what)] for title, what in facts.facts(findings)],
        "warnings": [text(warning) for warning in facts.warnings(findings)],
    }


def _first(verdict: Verdict) -> list[Json]:
    """Say which would come first with other images and seeds, and how often, in tenths."""
    known = [(s.first, s.label) for s in verdict.standings if s.first]
    known.sort(key=lambda one: -one[0])
    return [
        {"label": text(label), "share": number(first), "text": fmt.tenths(first)}
        for first, label in known[:MAX_FIRST]
    ]
