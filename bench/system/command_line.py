"""A command as a process: how it was called, its streams, parsing, errors, signals, exit codes.

Ctrl-C and SIGTERM: the first ends the command in order, with finished work kept and reported; the
second skips the rest of that; the third ends the process at once. The exit code is always 130.
"""

from __future__ import annotations

import argparse
import codecs
import io
import os
import shlex
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from bench.errors import BenchError, Exit, UsageError, os_error_text
from bench.system.frameworks import KERAS_BACKENDS

FILE = "run_bench.py"
MODULE = "-m bench"
INSTALLED = "backbone-bench"
# The first word of a recorded command, and how that is typed.
AS_TYPED = {FILE: f"python {FILE}", MODULE: "python -m bench", INSTALLED: INSTALLED}

RESULTS = Path("results")  # where runs are kept where no --results says another folder
RESUMABLE = ("run", "screen")  # commands that go on where they stopped
OUTPUT = "standard output"
# What is printed often and not every encoding has; all else is written as an escape.
PLAIN = str.maketrans({"–": "-", "—": "-", "·": ",", "→": "->", "…": "...", "±": "+-", "×": "x"})
GRACE_SECONDS = 60.0  # to end in order after SIGTERM, whose sender may not send another
_exit = os._exit  # replaced while plugins are loaded
SHOW_CURSOR = b"\x1b[?25h"


def program_word() -> str:
    """Return how this process was started, as the first word of a recorded command."""
    path = Path(sys.argv[0])
    if path.name == FILE:
        return FILE
    return MODULE if path.parts[-2:] == ("bench", "__main__.py") else INSTALLED


def typed_program() -> str:
    """Return the program of this process as it is typed."""
    return AS_TYPED[program_word()]


def format_command(command: Sequence[str], environment: Mapping[str, Any] | None = None) -> str:
    """Return a recorded command as it is typed in a shell; one that trains, on the Keras backend
    that it had in its `environment`."""
    first, rest = command[:1], list(command[1:])
    backend = str((environment or {}).get("keras_backend", KERAS_BACKENDS[0]))
    if backend != KERAS_BACKENDS[0] and rest[:1] and rest[0] in RESUMABLE:
        return f"KERAS_BACKEND={shlex.quote(backend)} {format_command(command)}"
    if first and first[0] in AS_TYPED:
        return " ".join([AS_TYPED[first[0]], *map(shlex.quote, rest)])
    return shlex.join(command)


def program_word_of(command: Sequence[str]) -> tuple[str, ...]:
    """Return the first word of a recorded command, for another one of the same program."""
    first = command[:1]
    return tuple(first) if first and first[0] in AS_TYPED else (INSTALLED,)


def _find_results_option(command: Sequence[str]) -> tuple[str, ...]:
    """Return the option of a recorded command that says where its runs are, if it has one."""
    for place, word in enumerate(command):
        if word == "--results":
            return tuple(command[place : place + 2])
        if word.startswith("--results="):
            return (word,)
    return ()


def results_option(command: Sequence[str], results: Path) -> tuple[str, ...]:
    """Return the option that names `results`, where runs are now: that of a recorded command, or
    none, as long as this leads there."""
    named = _find_results_option(command)
    folder = Path(named[-1].removeprefix("--results=")) if named else RESULTS
    whole = results.resolve()
    return named if folder.resolve() == whole else ("--results", str(whole))


def relocate_command(command: Sequence[str], results: Path) -> list[str]:
    """Return a recorded command for runs that are in `results` now; none where there is none."""
    named = _find_results_option(command)
    place = command.index(named[0]) if named else len(command)
    rest = command[place + len(named) :]
    return [*command[:place], *results_option(command, results), *rest] if command else []


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `UsageError`s: what is wrong, and where the help is."""

    commands: Mapping[str, argparse.ArgumentParser]

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\nSee `{self.prog} --help`.")


def parse(whole: Parser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words; an unknown option is an error of the command that it was given to."""
    arguments, unknown = whole.parse_known_args(words)
    if unknown:
        command = whole.commands[arguments.command]
        # Dashes alone make no two names alike. Of an option and a command of one name, that of the
        # same kind is meant.
        known = sorted(
            [*command._option_string_actions, *whole.commands],
            key=lambda name: name.startswith("-") == unknown[0].startswith("-"),
        )
        names = {name.lstrip("-"): name for name in known}
        near = get_close_matches(unknown[0].partition("=")[0].lstrip("-"), names, n=1)
        hint = f" Did you mean {names[near[0]]}?" if near else ""
        # A first word that is no command was taken for an argument of `run`.
        command_meant = arguments.command == "run" and not unknown[0].startswith("-")
        (whole if command_meant else command).error(f"{unknown[0]!r} is not known here.{hint}")
    return arguments


def exit_result(error: BaseException, command: str) -> tuple[int, str]:
    """Return the exit code of a command that ended with this error, and the message."""
    goes_on = command in RESUMABLE
    if isinstance(error, SystemExit):
        if not isinstance(error.__context__, BrokenPipeError):
            raise error
        error = error.__context__  # Rich turns it into an exit
    if isinstance(error, KeyboardInterrupt):
        more = "; the same command continues from here" if goes_on else ""
        return Exit.INTERRUPTED, f"\ninterrupted{more}."
    if isinstance(error, BenchError):
        return error.exit_code, f"error: {error}"
    text = os_error_text(error)
    if isinstance(error, OSError) and error.filename == OUTPUT:
        # Flushing it at exit would raise the same error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            if not goes_on:
                return Exit.DONE, ""  # its reader has enough, as `| head` has
            text = "the process that reads the output has ended."
    if text:
        more = "\nFinished trials are kept, and the same command continues from there."
        return Exit.ERROR, f"error: {text}{more if goes_on else ''}"
    return Exit.ERROR, (
        f"error: {type(error).__name__}: {error}\nThis is a bug; rerun with --debug and report it."
    )


class _Output(io.FileIO):
    """Standard output whose errors carry a name, as those of files do."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = OUTPUT
            raise


def _replace_unencodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace characters that the encoding of the output does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(_replace_unencodable.__name__, _replace_unencodable)


def repair_streams() -> None:
    """Open what the caller closed, and let the output hold any character.

    A stream that is closed would give its number to the next file that is opened, and what a child
    process prints would land in that. What the terminal's encoding lacks is written in ASCII.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    elif sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        given = sys.stdout
        given.flush()
        raw = _Output(given.fileno(), "w", closefd=False)
        sys.stdout = io.TextIOWrapper(
            raw if given.write_through else io.BufferedWriter(raw),
            encoding=given.encoding,
            errors=_replace_unencodable.__name__,
            line_buffering=given.line_buffering,
            write_through=given.write_through,
        )


class SignalHandler:
    """Handles the signals from now on; one that the caller ignores stays ignored."""

    def __init__(self) -> None:
        self.count = 0
        self.code: int | None = None  # of the exit, once the command has ended
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.code is not None or self.count > 2:
            self._exit_now()
        if number == signal.SIGTERM and self.count == 1:
            timer = threading.Timer(GRACE_SECONDS, self._exit_now)
            timer.daemon = True
            timer.start()
        raise KeyboardInterrupt

    def mark_ended(self, code: int) -> None:
        """Mark the command as ended: the next signal, or a second one that came already, ends the
        process at once."""
        self.code = code
        if self.count > 1:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            self._exit_now()

    def _exit_now(self) -> NoReturn:
        """End without waiting: workers end with their parent, and the next run removes what is half
        written."""
        if sys.__stdout__ is not None and sys.__stdout__.isatty():
            os.write(1, SHOW_CURSOR)  # a live display hides it
        _exit(Exit.INTERRUPTED if self.code is None else self.code)
