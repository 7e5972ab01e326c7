"""The head of every report: the verdict, what was run, and what a reader must be warned of."""

from __future__ import annotations

from bench.analysis import facts
from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.warnings import warnings
from bench.reports.blocks import Block, Facts, Notes, Section, Statement

PLACE = 0


def section(findings: Findings) -> Section:
    """Return it, under the name of the run."""
    verdict, known = findings.verdict, facts.facts(findings)
    if made := fmt.minute(findings.run.meta.created):
        known.append(("Made", made))
    blocks: list[Block] = [
        Statement(verdict.sentence, verdict.certainty),
        Facts(tuple(known), "What was run"),
    ]
    if told := warnings(findings):
        blocks.append(Notes(tuple(("", warning) for warning in told), warning=True))
    return Section("overview", findings.run.name, "", blocks, brief=True)
