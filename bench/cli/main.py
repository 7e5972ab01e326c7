"""The command line: the parser of all commands, and exit codes (`errors.EXIT_CODES`) for errors.

Each command has a file in `commands/`: `add_options` declares its options, `main` executes it. Only
the file of the requested command is imported.
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
from bench.system.command_line import (
    Parser,
    SignalHandler,
    exit_result,
    parse,
    repair_streams,
    typed_program,
)

if TYPE_CHECKING:
    from bench.execution.executors import Executor

COMMANDS = {
    "run": "train and measure backbones under one protocol",
    "screen": "probe all backbones cheaply, drop those that cannot win, and run the others",
    "list": "list available backbones, data sets, protocols, runtimes, formats and executors",
    "status": "show the progress of a run, and the command that continues it",
    "report": "write a run's reports again from its records",
    "choose": "recommend a backbone of a run under limits on latency, size and accuracy",
    "compare": "compare two runs, with confidence intervals",
    "predict": "classify new images with a run's trained model",
    "export": "export a run's trained model to a file for deployment, and check the file",
    "verify": "train a run's fastest trial again, and compare the probabilities",
    "audit": "find copies, leaks and wrong labels among the images of a data set",
    "new": "write a plugin for a backbone, and check it",
    "check": "check the declaration of a backbone before training it",
    "cache": "show or clear the cache of decoded images and frozen activations",
}

EXAMPLES = {
    "--dataset photos/ --seeds 3": "your own photographs",
    "choose latest --max-latency-ms 20": "the best below 20 ms",
    "predict latest new/": "classify new images",
}
EXITS = ", ".join(f"{code.value} {meaning}" for code, meaning in EXIT_CODES.items())


def main(
    argv: Sequence[str] | None = None,
    packages: Sequence[str] = (),
    executor: Executor | None = None,
) -> int:
    """Run one command and return its exit code.

    `packages` are names of importable packages with backbones to register; `executor` runs the
    trials instead of processes on this machine.
    """
    repair_streams()
    words = _with_command(sys.argv[1:] if argv is None else argv)
    interrupts = SignalHandler()
    try:
        code = _run(words, packages, executor)
    except KeyboardInterrupt:  # a second one, while the first was handled
        code = Exit.INTERRUPTED
    interrupts.mark_ended(code)
    return int(code)


def _with_command(words: Sequence[str]) -> list[str]:
    """Return the words with `run` in front if they name no command, and `help` as `--help`."""
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
        code, text = exit_result(error, words[0])
        if text:
            print(text, file=sys.stderr)
        if text and "--json" in words:
            from bench.cli.json_lines import write_event

            message = text.strip().removeprefix("error: ")
            write_event("error", error=message, exit_code=code)
    return code


def parser(command: str) -> Parser:
    """Return the parser of all commands, with the options of `command` alone.

    Options cannot be abbreviated: a later option could make the abbreviation ambiguous.
    """
    width = max(map(len, EXAMPLES))
    examples = "".join(f"\n  {typed_program()} {e:<{width}}  {t}" for e, t in EXAMPLES.items())
    whole = Parser(
        prog=typed_program(),
        usage="%(prog)s [COMMAND] [OPTION ...]",
        description="Train pretrained image backbones under one protocol, and compare them.",
        epilog=f"examples:{examples}\n\n{fill(f'exit codes: {EXITS}', 79)}",
        formatter_class=lambda prog: _Overview(prog, max_help_position=15),
        add_help=False,  # added below, after the commands
    )
    commands = whole.add_subparsers(
        title="commands (`help COMMAND` shows its options; the default is `run`)",
        dest="command",
        required=True,
        prog=typed_program(),
    )
    whole.commands = {
        name: commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            allow_abbrev=False,
            # Omitted options have the defaults of `RunRequest`, declared only there.
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
    """A formatter that leaves out argparse's own line above the list of commands."""

    def _format_action(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._SubParsersAction):
            return "".join(map(super()._format_action, action._choices_actions))
        return super()._format_action(action)


def _module(command: str) -> Any:
    return importlib.import_module(f"bench.cli.commands.{command}_command")
