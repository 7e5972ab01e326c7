"""Reproduce: next steps, commands, protocol, weights, environment."""

from __future__ import annotations

from bench.analysis import facts
from bench.analysis.findings import Findings
from bench.reports.html.values import Json, text
from bench.storage.trained import weights_path
from bench.system.command_line import INSTALLED, TYPED, typed
from bench.system.files import to_json


def data(findings: Findings) -> Json | None:
    protocol = findings.run.meta.protocol
    return {
        "commands": _commands(findings),
        "protocol": to_json(protocol, indent=2) if protocol.phases else "",
        "weights": _weights(findings),
        "environment": [[text(k), text(v)] for k, v in facts.environment(findings).items()],
        "notes": [
            [text(label), [text(note) for note in facts.notes(records)]]
            for label, records in findings.records.items()
            if facts.notes(records)
        ],
    }


def _commands(findings: Findings) -> list[list[str]]:
    """Return what each command does, and the command."""
    run, argv = findings.run.name, list(findings.run.meta.command)
    program = argv[:1] if argv and argv[0] in TYPED else [INSTALLED]
    commands = [
        ["Choose under your own limits", [*program, "choose", run, "--max-latency-ms", "20"]]
    ]
    if pick := _kept(findings):
        commands += [
            [f"Classify new images with {pick}", [*program, "predict", run, pick, "photos/"]],
            [f"Take {pick} elsewhere", [*program, "export", run, pick, "--format", "onnx"]],
        ]
    if argv:
        commands.append(["Run it again; finished trials are kept", argv])
    commands += [
        ["Train its fastest trial again, and compare", [*program, "verify", run]],
        ["Render the reports again from the records", [*program, "report", run]],
    ]
    return [[text(about), typed(command)] for about, command in commands]


def _kept(findings: Findings) -> str:
    """Return the recommended backbone, if the run kept its trained weights."""
    pick = findings.verdict.recommended
    for record in findings.records.get(pick or "", ()):
        if weights_path(findings.run.folder, record.trial.key).is_file():
            return record.trial.backbone
    return ""


def _weights(findings: Findings) -> list[list[str]]:
    found = []
    for label, records in findings.records.items():
        used = next((r.weights for r in records if r.weights is not None), None)
        if used is not None:
            file = [text(used.location), used.sha256] if used.pretrained else ["", ""]
            found.append([text(label), text(used.source), *file])
    return found
