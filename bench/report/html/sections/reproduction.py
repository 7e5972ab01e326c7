"""How to have the same again: the commands, the protocol, the weights and the environment."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from bench.files import to_json
from bench.report import facts
from bench.report.findings import Findings
from bench.report.html.evidence import Seen
from bench.report.html.values import Json, text


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    meta = findings.run.meta
    protocol = meta.get("protocol", {})
    return {
        "commands": _commands(meta.get("command", ()), findings.run.name),
        "protocol": to_json(protocol, indent=2) if protocol else "",
        "weights": _weights(findings),
        "environment": [[text(k), text(v)] for k, v in facts.environment(findings).items()],
        "notes": [
            [text(label), [text(note) for note in facts.notes(records)]]
            for label, records in findings.records.items()
            if facts.notes(records)
        ],
    }


def _commands(argv: list[str], run: str) -> list[list[str]]:
    """What each command does, and the command."""
    if not argv:
        return []
    program = argv[: 2 if argv[0].endswith("python") else 1]
    words = [] if argv[0].endswith("python") else ["python"]
    render = [*words, *program, "report", run]
    return [
        ["Run it again; what is finished is kept", shlex.join([*words, *argv])],
        ["Render the reports again from the records", shlex.join(render)],
    ]


def _weights(findings: Findings) -> list[list[str]]:
    found = []
    for label, records in findings.records.items():
        used = next((r.weights for r in records if r.weights is not None), None)
        if used is not None:
            file = [text(used.location), used.sha256] if used.pretrained else ["", ""]
            found.append([text(label), text(used.source), *file])
    return found
