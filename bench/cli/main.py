"""The command line: what can be asked, and how errors and exit codes (`errors.EXIT_CODES`) come
out.

Each command has a file in `commands/`: `add_options` declares what it takes, `main` does it. Only
the file of the command that is given is imported.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bench import __version__
from bench.errors import EXIT_CODES, Exit
from bench.system.command_line import Interrupts, Parser, ending, make_usable, parse, program

if TYPE_CHECKING:
    from bench.execution.executors import Executor

COMMANDS = {
    "run": "train and measure backbones under one protocol (the default)",
    "screen": "drop what cannot win by cheap probes of all backbones, then run those left",
    "list": "show what there is: backbones, data sets, protocols, runtimes, formats, executors",
    "status": "tell how far a running or stopped run is, and how to continue it",
    "report": "render a run's reports again from its records",
    "choose": "say which backbone of a run to take under limits of time, size and accuracy",
    "compare": "compare two runs, with intervals, where they are comparable",
    "predict": "classify new images with a run's trained model",
    "export": "write a run's trained model to a file that others can use, and check it",
    "verify": "train a run's smallest trial again, and compare its probabilities",
    "audit": "look for copies, leaks and wrong labels among the images of a data set",
    "new": "write the plugin of a backbone, and check it",
    "check": "check a backbone's adapter, before hours are spent on it",
    "cache": "show or clear what has been computed once and kept",
}

EXAMPLES = {
    "--dataset photos/ --seeds 3": "your own photographs",
    "choose latest --max-latency-ms 20": "the pick under a limit",
    "predict latest new/": "classify new images",
}
EXITS = ", ".join(f"{code.value} {meaning}" for code, meaning in EXIT_CODES.items())


def main(
    argv: Sequence[str] | None = None,
    packages: Sequence[str] = (),
    executor: Executor | None = None,
) -> int:
    """Run one command; `packages` hold backbones that are there without being installed.

    `executor` runs the trials instead of processes on this machine.
    """
    make_usable()
    words = _with_command(sys.argv[1:] if argv is None else argv)
    interrupts = Interrupts()
    try:
        code = _run(words, packages, executor)
    except KeyboardInterrupt:  # once more, while the first was answered
        code = Exit.INTERRUPTED
    interrupts.ended(code)
    return int(code)


def _with_command(words: Sequence[str]) -> list[str]:
    """Return the words with the command that they leave out, and `help` as an option."""
    if words and words[0] == "help":
        return (
            [*words[1:], "--help"] if not words[1:] or words[1] in COMMANDS else ["run", words[1]]
        )
    if words and words[0] in (*COMMANDS, "-h", "--help", "--version"):
        return list(words)
    return ["run", *words]


def _run(words: list[str], packages: Sequence[str], executor: Executor | None) -> int:
    try:
        arguments = parse(parser(words[0]), words)
        arguments.packages = tuple(packages)
        arguments.executor = executor
        arguments.words = words
        code: int = _module(arguments.command).main(arguments)
        sys.stdout.flush()
    except BaseException as error:
        if "--debug" in words and isinstance(error, Exception):
            raise
        code, text = ending(error, words[0])
        if text:
            print(text, file=sys.stderr)
        if text and "--json" in words:
            from bench.cli.json_lines import write_event

            message = text.strip().removeprefix("error: ")
            write_event("error", error=message, exit_code=code)
    return code


def parser(command: str) -> Parser:
    """Return the parser of all commands, with the options of one, whose file alone is imported.

    Options are given by their whole names: what abbreviates one today may be that of another
    tomorrow.
    """
    width = max(map(len, EXAMPLES))
    examples = "".join(f"\n  {program()} {e:<{width}}  {t}" for e, t in EXAMPLES.items())
    whole = Parser(
        prog=program(),
        usage="%(prog)s [COMMAND] [OPTION ...]",
        description="One freeze-then-fine-tune protocol over every pretrained backbone.",
        epilog=f"examples:{examples}\n\n{fill(f'exit codes: {EXITS}', 79)}",
        formatter_class=lambda prog: _Overview(prog, max_help_position=15),
        add_help=False,  # below, after the commands
    )
    commands = whole.add_subparsers(
        title="commands (`help COMMAND` tells more; without one, `run`)",
        dest="command",
        required=True,
        prog=program(),
    )
    whole.commands = {
        name: commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            allow_abbrev=False,
            # What is not given has the default of `RunRequest`, and no other.
            argument_default=argparse.SUPPRESS if name in ("run", "screen") else None,
        )
        for name, text in COMMANDS.items()
    }
    options = whole.add_argument_group("options")
    options.add_argument("-h", "--help", action="help", help="show this page")
    options.add_argument("--version", action="version", version=f"backbone-bench {__version__}")
    whole.commands["run"].epilog = f"Exit codes: {EXITS}."
    if command in COMMANDS:
        chosen = whole.commands[command]
        chosen.add_argument("--debug", action="store_true", default=False, help="show tracebacks")
        _module(command).add_options(chosen)
    return whole


class _Overview(argparse.RawDescriptionHelpFormatter):
    """The commands without the line that argparse puts above them."""

    def _format_action(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._SubParsersAction):
            return "".join(map(super()._format_action, action._choices_actions))
        return super()._format_action(action)


def _module(command: str) -> Any:
    return importlib.import_module(f"bench.cli.commands.{command}_command")
