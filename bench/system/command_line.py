"""A command as a process: its recorded command line, streams, parsing, errors, signals, exit codes.

Ctrl-C and SIGTERM: the first ends the command in order, with finished work kept and reported; the
second skips what remains of that; the third ends the process at once. The exit code is always 130.
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
# The first word of a recorded command, and the shell command for it.
AS_TYPED = {FILE: f"python {FILE}", MODULE: "python -m bench", INSTALLED: INSTALLED}

RESULTS = Path("results")  # the folder of runs, unless --results names another
RESUMABLE = ("run", "screen")  # commands that, repeated, resume from where they stopped
OUTPUT = "standard output"
# ASCII for frequent characters that some encodings lack; all others are written as escapes.
PLAIN = str.maketrans({"–": "-", "—": "-", "·": ",", "→": "->", "…": "...", "±": "+-", "×": "x"})
GRACE_SECONDS = 60.0  # to end in order after SIGTERM, whose sender may not send a second one
_exit = os._exit  # a reference to the original: loading plugins replaces it temporarily
SHOW_CURSOR = b"\x1b[?25h"


def program_word() -> str:
    """Return the first word of this command in its recorded form: how the process was started."""
    path = Path(sys.argv[0])
    if path.name == FILE:
        return FILE
    return MODULE if path.parts[-2:] == ("bench", "__main__.py") else INSTALLED


def typed_program() -> str:
    """Return the shell command that started this process, without arguments."""
    return AS_TYPED[program_word()]


def format_command(command: Sequence[str], environment: Mapping[str, Any] | None = None) -> str:
    """Return a recorded command as text for a shell.

    `environment`: the facts recorded with it. A command that trains sets the Keras backend to the
    recorded one.
    """
    first, rest = command[:1], list(command[1:])
    backend = str((environment or {}).get("keras_backend", KERAS_BACKENDS[0]))
    if backend != KERAS_BACKENDS[0] and rest[:1] and rest[0] in RESUMABLE:
        return f"KERAS_BACKEND={shlex.quote(backend)} {format_command(command)}"
    if first and first[0] in AS_TYPED:
        return " ".join([AS_TYPED[first[0]], *map(shlex.quote, rest)])
    return shlex.join(command)


def program_word_of(command: Sequence[str]) -> tuple[str, ...]:
    """Return the first word of a recorded command, to build another command with it."""
    first = command[:1]
    return tuple(first) if first and first[0] in AS_TYPED else (INSTALLED,)


def _find_results_option(command: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a recorded command's `--results` option; empty without one."""
    for index, word in enumerate(command):
        if word == "--results":
            return tuple(command[index : index + 2])
        if word.startswith("--results="):
            return (word,)
    return ()


def results_option(command: Sequence[str], results: Path) -> tuple[str, ...]:
    """Return the `--results` option with which a command finds the runs in the folder `results`.

    It is the recorded command's option, or empty for its default, if that leads to `results`.
    """
    option = _find_results_option(command)
    folder = Path(option[-1].removeprefix("--results=")) if option else RESULTS
    absolute = results.resolve()
    return option if folder.resolve() == absolute else ("--results", str(absolute))


def relocate_command(command: Sequence[str], results: Path) -> list[str]:
    """Return a recorded command with `results` as its folder of runs; an empty one stays so."""
    option = _find_results_option(command)
    index = command.index(option[0]) if option else len(command)
    rest = command[index + len(option) :]
    return [*command[:index], *results_option(command, results), *rest] if command else []


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `UsageError`s that name the command's help."""

    commands: Mapping[str, argparse.ArgumentParser]

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\nSee `{self.prog} --help`.")


def parse(whole: Parser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words of a command; UsageError suggests a name for an unknown one."""
    arguments, unknown = whole.parse_known_args(words)
    if unknown:
        command = whole.commands[arguments.command]
        # Compare names without dashes, which would make all options similar. If an option and a
        # command have the same name, suggest the one of the same kind as the unknown word.
        known = sorted(
            [*command._option_string_actions, *whole.commands],
            key=lambda name: name.startswith("-") == unknown[0].startswith("-"),
        )
        names = {name.lstrip("-"): name for name in known}
        near = get_close_matches(unknown[0].partition("=")[0].lstrip("-"), names, n=1)
        hint = f" Did you mean {names[near[0]]}?" if near else ""
        # A first word that is not a command was parsed as an argument of `run`.
        command_meant = arguments.command == "run" and not unknown[0].startswith("-")
        (whole if command_meant else command).error(f"{unknown[0]!r} is not known here.{hint}")
    return arguments


def exit_result(error: BaseException, command: str) -> tuple[int, str]:
    """Return the exit code and the message of a command that ended with this error."""
    resumes = command in RESUMABLE
    if isinstance(error, SystemExit):
        if not isinstance(error.__context__, BrokenPipeError):
            raise error
        error = error.__context__  # Rich turns it into an exit
    if isinstance(error, KeyboardInterrupt):
        more = "; the same command continues from here" if resumes else ""
        return Exit.INTERRUPTED, f"\ninterrupted{more}."
    if isinstance(error, BenchError):
        return error.exit_code, f"error: {error}"
    text = os_error_text(error)
    if isinstance(error, OSError) and error.filename == OUTPUT:
        # Flushing it at exit would raise the same error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            if not resumes:
                return Exit.DONE, ""  # the reader has read enough, like `| head`
            text = "the process that reads the output has ended."
    if text:
        more = "\nFinished trials are kept, and the same command continues from there."
        return Exit.ERROR, f"error: {text}{more if resumes else ''}"
    return Exit.ERROR, (
        f"error: {type(error).__name__}: {error}\nThis is a bug; rerun with --debug and report it."
    )


class _Output(io.FileIO):
    """Standard output whose errors name it, as errors of files do."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = OUTPUT
            raise


def _replace_unencodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return an ASCII replacement for characters that the output's encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(_replace_unencodable.__name__, _replace_unencodable)


def repair_streams() -> None:
    """Reopen closed standard streams, and let standard output take any character.

    The file descriptor of a closed stream would go to the next file that is opened, and a child
    process would print into that file. Characters that the terminal's encoding lacks are replaced.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    elif sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        original = sys.stdout
        original.flush()
        raw = _Output(original.fileno(), "w", closefd=False)
        sys.stdout = io.TextIOWrapper(
            raw if original.write_through else io.BufferedWriter(raw),
            encoding=original.encoding,
            errors=_replace_unencodable.__name__,
            line_buffering=original.line_buffering,
            write_through=original.write_through,
        )


class SignalHandler:
    """Handles SIGINT and SIGTERM once it is created, unless the parent process ignores them."""

    def __init__(self) -> None:
        self.count = 0
        self.code: int | None = None  # exit code, set when the command has ended
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
        """Mark the command as ended: the next signal ends the process at once, as does a second one
        received earlier."""
        self.code = code
        if self.count > 1:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            self._exit_now()

    def _exit_now(self) -> NoReturn:
        """Exit without cleanup: workers end with their parent, and the next run removes unfinished
        files."""
        if sys.__stdout__ is not None and sys.__stdout__.isatty():
            os.write(1, SHOW_CURSOR)  # a live display hides it
        _exit(Exit.INTERRUPTED if self.code is None else self.code)
