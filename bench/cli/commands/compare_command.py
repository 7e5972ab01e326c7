"""`compare`: compare two runs; with `--fail-if`, a test for continuous integration."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from bench.cli.json_lines import write
from bench.cli.shared_options import add_run, add_shared
from bench.errors import Exit, UsageError
from bench.storage.run_folder import find_run
from bench.system.files import write_atomic


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser, "before")
    add_run(parser, "after")
    add_shared(parser, "--results")
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="RULE",
        help="exit with code 4 if this holds for any backbone, or cannot be judged for one: "
        "'accuracy drops 0.01', 'latency_p50_ms rises 10%%', 'loss rises 0.05' (repeatable)",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="do not fail for backbones that a rule cannot judge (missing, failed, not comparable)",
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="also write the comparison as Markdown"
    )
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="also write it as a web page, with the test images whose predicted class changed",
    )
    add_shared(parser, "--json")


def main(arguments: argparse.Namespace) -> int:
    """Print the comparison; return 4 if a rule is broken or cannot be applied to a backbone."""
    import bench.analysis.metrics  # registers the metrics that rules may name  # noqa: F401
    from bench.analysis.comparison import SHOWN, compare
    from bench.analysis.findings import analyse_run
    from bench.analysis.metrics.base import METRICS
    from bench.analysis.rules import apply_rule, parse_rule
    from bench.reports import terminal
    from bench.reports.comparison import change_text, pictures, sections
    from bench.storage.records import read_run

    rules = [parse_rule(text, METRICS.names) for text in arguments.fail_if]
    folders = [find_run(arguments.results, name) for name in (arguments.before, arguments.after)]
    if folders[0].samefile(folders[1]):
        raise UsageError(
            f"{arguments.before} and {arguments.after} are the same run, {folders[0].name}; name "
            f"two runs."
        )
    before, after = (analyse_run(read_run(folder)) for folder in folders)
    figures = dict.fromkeys([*SHOWN, *(rule.figure for rule in rules)])
    found = compare(before, after, tuple(figures))
    results = [apply_rule(found, rule, allow_missing=arguments.allow_missing) for rule in rules]
    broken = [f"{one.rule.text!r}: {change_text(c)}" for one in results for c in one.broken]
    missing = [
        f"{one.rule.text!r}: {n.label} cannot be judged: {n.reason}"
        for one in results
        for n in one.not_judged
    ]
    if arguments.json:
        about_rules = {"broken_rules": broken, "not_judged": missing}
        write(asdict(found) | about_rules)
    else:
        terminal.show(sections(found), Console(highlight=False, width=terminal.UNLIMITED))
    if arguments.markdown is not None:
        from bench.reports import markdown

        write_atomic(arguments.markdown, markdown.text(sections(found)))
    if arguments.html is not None:
        from bench.reports import html

        shown, images = sections(found), pictures(found, *folders)
        footer = "Rendered from the records of the two runs."
        write_atomic(arguments.html, html.build_page(shown[0].title, shown, images, footer))
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    allowed = arguments.allow_missing
    for line in broken:
        errors.print(f"failed: {line}", style="red")
    for line in missing:
        word, style = ("allowed", "yellow") if allowed else ("failed", "red")
        errors.print(f"{word}: {line}", style=style)
    if missing and not allowed:
        errors.print("A rule that cannot be judged fails; --allow-missing lets it pass.")
    return Exit.RULE_BROKEN if broken or (missing and not allowed) else Exit.DONE
