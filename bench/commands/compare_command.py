"""`compare`: two runs against each other, for people and, with `--fail-if`, for CI."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console

from bench.commands.report_command import find_run
from bench.errors import BenchError
from bench.files import to_json

if TYPE_CHECKING:
    from bench.report.comparison import Comparison
    from bench.report.rules import Rule

RULE_BROKEN = 4


def main(arguments: argparse.Namespace) -> int:
    """Print the comparison; 4 where a rule is broken."""
    import bench.metrics  # registers what a rule may name  # noqa: F401
    from bench.metrics.base import METRICS
    from bench.records import load_run
    from bench.report import comparison_text
    from bench.report.comparison import SHOWN, compare
    from bench.report.findings import find
    from bench.report.rules import parse_rule

    rules = [parse_rule(text, METRICS.names) for text in arguments.fail_if]
    before, after = (
        find(load_run(find_run(arguments.results, name)))
        for name in (arguments.before, arguments.after)
    )
    figures = dict.fromkeys([*SHOWN, *(rule.figure for rule in rules)])
    found = compare(before, after, tuple(figures))
    broken = _broken(found, rules)
    if arguments.json:
        print(to_json(asdict(found) | {"broken_rules": broken}, indent=2))
    else:
        comparison_text.show(found, Console(highlight=False))
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    for line in broken:
        errors.print(f"failed: {line}", style="red", markup=False)
    return RULE_BROKEN if broken else 0


def _broken(found: Comparison, rules: Sequence[Rule]) -> list[str]:
    """What breaks the rules; an error where a rule could be held against nothing at all."""
    from bench.report.comparison_text import change_text

    broken = []
    for rule in rules:
        judged = [change for change in found.changes if change.figure == rule.figure]
        if not judged and not found.lost:
            reasons = "; ".join(dict.fromkeys(f"{n.label}: {n.reason}" for n in found.refused))
            raise BenchError(
                f"rule {rule.text!r} could be held against no backbone"
                f"{f' ({reasons})' if reasons else ''}."
            )
        broken += [f"{rule.text!r}: {change_text(c)}" for c in judged if rule.broken_by(c)]
    if rules:
        lost = [n for n in found.refused if n.label in found.lost]
        broken += [f"{n.label} cannot be judged any more: {n.reason}" for n in lost]
    return broken
