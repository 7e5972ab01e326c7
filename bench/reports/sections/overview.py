"""The head of every report: the verdict, what was run, and warnings."""

from __future__ import annotations

from bench.analysis import facts
from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.verdict import Verdict
from bench.analysis.warnings import warnings
from bench.reports.blocks import Block, Facts, Notes, Section, Statement

PLACE = 0
MAX_CHANCES = 5


def section(findings: Findings) -> Section:
    """Return the section, with the name of the run as its title."""
    verdict, known = findings.verdict, facts.facts(findings)
    if created := fmt.minute(findings.run.meta.created):
        known.append(("Created", created))
    blocks: list[Block] = [
        Statement(
            verdict.sentence,
            verdict.certainty,
            verdict.lead,
            _chances(verdict),
            f"P(first): how often each is first with {verdict.redrawn}",
        ),
        Facts(tuple(known), "What was run"),
        Notes(tuple(("", warning) for warning in warnings(findings)), warning=True),
    ]
    return Section("overview", findings.run.name, "", blocks, brief=True)


def _chances(verdict: Verdict) -> tuple[tuple[str, float], ...]:
    """Return the backbones that may be first, with P(first), the likeliest first; at least two if
    two were compared."""
    known = [(one.label, one.first) for one in verdict.standings if one.first is not None]
    known.sort(key=lambda one: -one[1])
    possible = sum(share > 0 for _, share in known)
    return tuple(known[: min(MAX_CHANCES, max(2, possible))])
