"""`verify`: train a run's fastest trial again, and compare the probabilities."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bench.cli.shared_options import add_run, add_shared, read_trained
from bench.errors import Exit
from bench.training.events import Event, Note, StageProgress

if TYPE_CHECKING:
    from rich.console import Console

    from bench.execution.verify import Verification


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser)
    add_shared(parser, "--plugin", "--results")


def main(arguments: argparse.Namespace) -> int:
    """Train the trial again; return 0 if the probabilities are the same, else 1."""
    # Imported late: `verify --help` does not need them.
    from rich.console import Console

    from bench.execution.verify import fastest_trial, verify

    console = Console(highlight=False, markup=False, soft_wrap=True)
    run = read_trained(arguments, console)
    record = fastest_trial(run)
    trained = f"{record.trial.title}, {record.trial.input_size} px"
    console.print(f"trial       {trained}, the quickest of run {run.name}")
    verification = verify(
        run,
        record,
        _Progress(console),
        arguments.executor,
        plugins=arguments.plugins,
        packages=arguments.packages,
    )
    _show(console, verification)
    return Exit.DONE if verification.same else Exit.ERROR


class _Progress:
    """A listener that prints notes, and each stage once."""

    def __init__(self, console: Console) -> None:
        self._console, self._stage = console, ""

    def __call__(self, event: Event) -> None:
        match event:
            case StageProgress(stage=stage) if stage != self._stage:
                self._stage = stage
                self._console.print(f"again       {stage}", style="dim")
            case Note(text):
                self._console.print(text, style="yellow")


def _show(console: Console, verification: Verification) -> None:
    for split, difference in verification.differences.items():
        console.print(
            f"{split:<12}{difference.images:,} images: largest difference of a probability "
            f"{difference.largest:.2g}, {difference.changed:,} predicted classes changed"
        )
    for change in verification.changed:
        text = f"since       {change.fact}: {change.before} -> {change.after}"
        console.print(text, style="yellow")
    if not verification.changed:
        console.print("since       nothing else has changed: weights, versions, machine, code")
    if verification.same:
        how = "bit for bit" if verification.exact else "to a rounding"
        console.print(f"The same probabilities, {how}", style="green")
    else:
        console.print("Not the same probabilities", style="red")
