"""Ctrl-C and SIGTERM: the first ends the command in order, with finished work kept and reported;
the second skips the rest of that; the third ends the process at once. The exit code is always 130.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from bench.errors import Exit

GRACE_SECONDS = 60.0  # to end in order after SIGTERM, whose sender may not send another
_exit = os._exit  # replaced while plugins are loaded
SHOW_CURSOR = b"\x1b[?25h"


class _Interrupts:
    """How many signals came so far, and the exit code once the command has ended."""

    def __init__(self) -> None:
        self.count = 0
        self.code: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.code is not None or self.count > 2:
            self.end()
        if number == signal.SIGTERM and self.count == 1:
            timer = threading.Timer(GRACE_SECONDS, self.end)
            timer.daemon = True
            timer.start()
        raise KeyboardInterrupt

    def end(self) -> NoReturn:
        """End without waiting: workers end with their parent, and the next run removes what is half
        written."""
        if sys.__stdout__ is not None and sys.__stdout__.isatty():
            os.write(1, SHOW_CURSOR)  # a live display hides it
        _exit(Exit.INTERRUPTED if self.code is None else self.code)


_interrupts = _Interrupts()


def listen() -> None:
    """Handle the signals from now on; one that the caller ignores stays ignored."""
    global _interrupts
    _interrupts = _Interrupts()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupts)


def ended(code: int) -> None:
    """Mark the command as ended: the next signal, or a second one that came already, ends the
    process at once."""
    _interrupts.code = code
    if _interrupts.count > 1:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        _interrupts.end()
