"""The command line: how the program was called, parsing, errors, exit codes."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from bench.errors import BenchError, Exit, os_error_text
from bench.system import standard_streams

FILE = "run_bench.py"
MODULE = "-m bench"
INSTALLED = "backbone-bench"
# The first word of a recorded command, and how that is typed.
TYPED = {FILE: f"python {FILE}", MODULE: "python -m bench", INSTALLED: INSTALLED}


def called() -> str:
    """Return how this process was started, as the first word of a recorded command."""
    path = Path(sys.argv[0])
    if path.name == FILE:
        return FILE
    return MODULE if path.parts[-2:] == ("bench", "__main__.py") else INSTALLED


def program() -> str:
    """Return the program of this process as it is typed."""
    return TYPED[called()]


def typed(command: Sequence[str]) -> str:
    """Return a recorded command as it is typed in a shell."""
    first, rest = command[:1], list(command[1:])
    if first and first[0] in TYPED:
        return " ".join([TYPED[first[0]], *map(shlex.quote, rest)])
    return shlex.join(command)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are two lines: what is wrong, and where the help is."""

    commands: Mapping[str, argparse.ArgumentParser]

    def error(self, message: str) -> NoReturn:
        self.exit(Exit.USAGE, f"error: {message}\nSee `{self.prog} --help`.\n")


def parse(whole: Parser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words; an unknown option is an error of the command that it was given to."""
    arguments, unknown = whole.parse_known_args(words)
    if unknown:
        command = whole.commands[arguments.command]
        known = [*command._option_string_actions, *whole.commands]
        near = get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        command.error(f"{unknown[0]!r} is not known here.{hint}")
    return arguments


def ending(error: BaseException, command: str) -> tuple[int, str]:
    """Return the exit code of a command that ended with this error, and the message."""
    goes_on = command == "run"
    if isinstance(error, SystemExit):
        if not isinstance(error.__context__, BrokenPipeError):
            raise error
        error = error.__context__  # Rich turns it into an exit
    if isinstance(error, KeyboardInterrupt):
        more = "; the same command continues from here" if goes_on else ""
        return Exit.INTERRUPTED, f"\ninterrupted{more}."
    if isinstance(error, BenchError):
        return error.exit_code, f"error: {error}"
    if isinstance(error, OSError) and error.filename == standard_streams.OUTPUT:
        standard_streams.drop_output()
        if isinstance(error, BrokenPipeError) and not goes_on:
            return Exit.DONE, ""  # its reader has enough, as `| head` has
    text = os_error_text(error)
    if isinstance(error, BrokenPipeError) and error.filename == standard_streams.OUTPUT:
        text = "the process that reads the output has ended."
    if text:
        more = "\nFinished trials are kept, and the same command continues from there."
        return Exit.ERROR, f"error: {text}{more if goes_on else ''}"
    return Exit.ERROR, (
        f"error: {type(error).__name__}: {error}\nThis is a bug; rerun with --debug and report it."
    )
