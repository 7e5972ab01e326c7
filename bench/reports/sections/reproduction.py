"""Reproduce: commands, protocol, weights and environment."""

from __future__ import annotations

from bench.analysis import facts
from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.reports.blocks import Block, Column, Commands, Notes, Section, Table, Value, text_columns
from bench.system.command_line import format_command, program_word_of
from bench.system.files import to_json

PLACE = 130


def section(findings: Findings) -> Section | None:
    """Return the commands that reproduce the run, and its protocol, weights and environment."""
    blocks: list[Block] = [Commands(tuple(_commands(findings)))]
    if (protocol := findings.run.meta.protocol).phases:
        whole = (("", to_json(protocol, indent=2)),)
        blocks.append(Commands(whole, title="The whole protocol"))
    if weights := _weights(findings):
        columns = (
            *text_columns("Backbone", "Weights", "File or package", "SHA-256"),
            Column("Input", "{} px".format),
            Column("Parameters", fmt.count),
        )
        blocks.append(Table("Weights", columns, tuple(weights), folded=True))
    if environment := facts.environment(findings):
        rows = tuple(environment.items())
        blocks.append(Table("Environment", text_columns("Item", "Value"), rows, folded=True))
    noted = [(label, n) for label, rs in findings.records.items() for n in facts.notes(rs)]
    blocks.append(Notes(tuple(noted), "Notes of the trials", folded=True))
    return Section("reproduction", "Reproduce", "", blocks)


def _commands(findings: Findings) -> list[tuple[str, str]]:
    """Return the purpose of each command, and its words."""
    run, argv = findings.run.name, findings.run.command
    program, where = program_word_of(argv), findings.run.results_option
    commands = [("Repeat the run; finished trials are kept", argv)] if argv else []
    commands += [
        ("Train the fastest trial again and compare", [*program, "verify", run, *where]),
        ("Render the reports again from the records", [*program, "report", run, *where]),
    ]
    environment = findings.run.meta.environment
    return [(about, format_command(command, environment)) for about, command in commands]


def _weights(findings: Findings) -> list[tuple[Value, ...]]:
    found: list[tuple[Value, ...]] = []
    for label, records in findings.records.items():
        record = next((r for r in records if r.weights is not None), None)
        if record is not None and (used := record.weights) is not None:
            file = (used.location, used.sha256) if used.pretrained else ("", "")
            network = (record.trial.input_size, record.parameters)
            found.append((label, used.source, *file, *network))
    return found
