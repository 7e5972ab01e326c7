"""`pull_request.md`: the verdict and a short table, to paste into a pull request."""

from __future__ import annotations

from pathlib import Path

from bench.analysis import facts
from bench.analysis.escape import comment as safe
from bench.analysis.findings import Findings
from bench.analysis.verdict import MAX_SENTENCE
from bench.analysis.warnings import warnings
from bench.reports.markdown import render_table
from bench.reports.sections import leaderboard
from bench.system.files import write_atomic

SHOWN = ("rank", "label", "accuracy", "latency_p50_ms", "params", "train_seconds")
CONTEXT = ("Images", "Protocol", "Trials")
LONG = 300


def write(findings: Findings) -> Path:
    """Write `pull_request.md` into the run's folder; return the file."""
    path = findings.run.folder / "pull_request.md"
    write_atomic(path, text(findings))
    return path


def text(findings: Findings) -> str:
    """Return the verdict, the table and the warnings, short enough for a comment."""
    ranked = leaderboard.table(findings)
    short = ranked.only(i for i, column in enumerate(ranked.columns) if column.name in SHOWN)
    table = render_table(short, "pipe", lambda _, text: safe(text))
    about = dict(facts.facts(findings))
    context = [safe(about[title], LONG) for title in CONTEXT if title in about]
    listed = "\n".join(f"- {safe(warning, LONG)}" for warning in warnings(findings))
    parts = [safe(findings.verdict.sentence, MAX_SENTENCE), table]
    parts.append(f"{safe(findings.run.name)}: {'; '.join(context)}")
    if listed:
        parts.append(f"<details><summary>Notes</summary>\n\n{listed}\n\n</details>")
    return "\n\n".join(parts) + "\n"
