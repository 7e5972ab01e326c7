"""`choose`: which backbone of a run to take under limits; reads records, imports no framework."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rich.console import Console

from bench.commands.report_command import find_run
from bench.errors import Exit
from bench.files import to_json


def main(arguments: argparse.Namespace) -> int:
    """Print the choice and its reasons; 4 where nothing keeps to the limits, 3 where nothing is
    ranked at all."""
    from bench import report
    from bench.report import choice_text
    from bench.report.choice import Limits, choose

    findings = report.read(find_run(arguments.results, arguments.run), margin=arguments.margin)
    limits = Limits(
        max_latency_ms=arguments.max_latency_ms,
        max_mb=arguments.max_mb,
        min_accuracy=arguments.min_accuracy,
        runtime=arguments.runtime,
    )
    choice = choose(findings, limits)
    if arguments.json:
        print(to_json(asdict(choice), indent=2))
    else:
        choice_text.show(choice, findings, Console(highlight=False, soft_wrap=True))
    if choice.pick is not None:
        return Exit.DONE
    limited = any(refusal.limit for one in choice.refused for refusal in one.refusals)
    return Exit.RULE_BROKEN if limited else Exit.INCOMPLETE
