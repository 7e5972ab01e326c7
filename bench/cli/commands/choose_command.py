"""`choose`: recommend a backbone of a run under limits; reads records, imports no framework."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from bench.cli.argument_types import fraction, positive_float
from bench.cli.json_lines import write
from bench.cli.shared_options import add_run, add_shared
from bench.errors import Exit
from bench.inference.export import EXPORT_FORMATS, suggest_format
from bench.storage.arrays import artefact_folder, sort_best_first, weights_path
from bench.storage.run_folder import find_run
from bench.system.command_line import format_command, program_word

if TYPE_CHECKING:
    from bench.analysis.choice import Choice
    from bench.analysis.findings import Findings


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser, optional=True)
    add_shared(parser, "--results", "--margin")
    parser.add_argument(
        "--max-latency-ms",
        type=positive_float,
        metavar="MS",
        help="upper limit on the median latency of one image",
    )
    parser.add_argument(
        "--max-mb", type=positive_float, metavar="MB", help="upper limit on the size of the model"
    )
    parser.add_argument(
        "--min-accuracy",
        type=fraction,
        metavar="FRACTION",
        help="lower limit on the test accuracy, 0 to 1",
    )
    parser.add_argument(
        "--runtime", metavar="NAME", help="runtime whose latency and size are limited (keras)"
    )
    add_shared(parser, "--json")


def main(arguments: argparse.Namespace) -> int:
    """Print the choice and its reasons; return 4 if no backbone is within the limits, 3 if none
    is ranked."""
    from bench import reports as report
    from bench.analysis.choice import Limits, choose
    from bench.reports import terminal
    from bench.reports.choice import section

    findings = report.read(find_run(arguments.results, arguments.run), margin=arguments.margin)
    limits = Limits(
        max_latency_ms=arguments.max_latency_ms,
        max_mb=arguments.max_mb,
        min_accuracy=arguments.min_accuracy,
        runtime=arguments.runtime,
    )
    choice = choose(findings, limits)
    if arguments.json:
        write(choice)
    else:
        console = Console(highlight=False, markup=False, soft_wrap=True, width=terminal.UNLIMITED)
        terminal.show([section(choice, findings.run.name)], console)
        for line in _next_steps(findings, choice):
            console.print(line)
    if choice.pick is not None:
        return Exit.DONE
    limited = any(refusal.limit for one in choice.refused for refusal in one.refusals)
    return Exit.RULE_BROKEN if limited else Exit.INCOMPLETE


def _next_steps(findings: Findings, choice: Choice) -> Iterator[str]:
    """Yield the commands and files that give the chosen model, as far as the run kept it."""
    pick, run, runtime = choice.pick, findings.run, choice.limits.runtime
    if pick is None:
        return
    records = findings.records[pick.label]
    kept = [r for r in sort_best_first(records) if weights_path(run.folder, r.trial.key).is_file()]
    where = run.results_option
    words = [program_word(), "export", run.name, pick.backbone, *where, "--format"]
    predict = format_command(
        [program_word(), "predict", run.name, pick.backbone, "photos/", *where]
    )
    if pick.seed is None:
        if kept:
            words.append(suggest_format(run.meta.environment))
            yield f"\nnew images: {predict}\nas a file: {format_command(words)}"
        return
    yield ""
    (judged,) = (r for r in records if r.trial.seed == pick.seed)
    (result,) = (r for r in judged.runtimes if r.name == runtime)
    file = artefact_folder(run.folder, judged.trial) / result.artefact
    if result.artefact and file.is_file():
        yield f"as a file: {file}"
    elif runtime in EXPORT_FORMATS.names and kept and kept[0] == judged:
        yield f"as a file: {format_command([*words, runtime])}"
    elif result.artefact:
        yield f"The {runtime} file was not kept: `run` keeps it with --keep-artefacts."
    if kept:
        yield f"new images: {predict} (through Keras, not {runtime}: other probabilities)"
