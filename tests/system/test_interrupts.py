"""Ctrl-C, once and repeated, and SIGTERM, with a slow command in place of `run`."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")

PATIENCE = 20.0  # seconds; what is not ended would take 60
SCRIPT = """
import signal, sys, threading, time, types
from bench.cli import main as cli
from bench.system import command_line

command_line.GRACE_SECONDS = 0.2
signal.signal(signal.SIGINT, signal.default_int_handler)  # as at a terminal

def say(text):
    print(text, flush=True)

def main(arguments):
    try:
        say("working")
        time.sleep(60)
    finally:
        end()

def end():
    {end}

sys.modules["bench.cli.commands.cache_command"] = types.ModuleType("cache_command")
sys.modules["bench.cli.commands.cache_command"].main = main
sys.modules["bench.cli.commands.cache_command"].add_options = lambda parser: None
sys.exit(cli.main(["cache"]))
"""
REPORTS = "say('reporting'); time.sleep(60)"
WAITS_FOR_A_THREAD = "threading.Thread(target=time.sleep, args=(60,)).start()"
HOLDS_OUT = """
    while True:
        try:
            say("holding out")
            time.sleep(60)
        except KeyboardInterrupt:
            pass
"""


@contextmanager
def _command(end: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command and wait until it is working."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(end=end)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            _hear(process, "working")
            yield process
        finally:
            process.kill()


def _hear(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"{text}\n"


def _ending(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code and the text on standard error."""
    _, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, errors.strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_in_order(number: int) -> None:
    with _command("say('in order')") as process:
        process.send_signal(number)
        _hear(process, "in order")
        assert _ending(process) == (130, "interrupted.")


def test_the_second_signal_skips_the_reports() -> None:
    with _command(REPORTS) as process:
        process.send_signal(signal.SIGINT)
        _hear(process, "reporting")
        process.send_signal(signal.SIGINT)
        assert _ending(process) == (130, "interrupted.")


def test_the_second_signal_does_not_wait_for_threads() -> None:
    with _command(WAITS_FOR_A_THREAD) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline() == "\n"
        assert process.stderr.readline() == "interrupted.\n"
        process.send_signal(signal.SIGINT)
        assert _ending(process) == (130, "")


def test_the_third_signal_ends_at_once() -> None:
    with _command(HOLDS_OUT) as process:
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            _hear(process, "holding out")
        process.send_signal(signal.SIGINT)
        assert _ending(process) == (130, "")


def test_sigterm_ends_the_process_after_a_grace_period() -> None:
    with _command(HOLDS_OUT) as process:
        process.send_signal(signal.SIGTERM)
        assert _ending(process) == (130, "")
