"""Ending a worker that takes too long, or that has stopped working."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

from bench.system.locks import Pulse

STEP_SECONDS = 1.0
LOOK_SECONDS = 30.0  # without an event, after which the process's activity is looked at


class Watch:
    """Watches one process while it does a job; `reason` says why it was ended, if it was.

    Seconds in which this process did not run itself, stopped with Ctrl-Z or asleep with the
    machine, do not count.
    """

    def __init__(self, pid: int, kill: Callable[[], None], limit: float | None = None) -> None:
        """`limit`: the seconds that a trial may take, if they are limited."""
        self.reason = ""
        self._pulse, self._kill, self._limit = Pulse(pid), kill, limit
        self._spent = 0.0  # on this trial
        self._silent = 0.0  # since the last event
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def event(self, *, record: bool) -> None:
        """Note that the process has sent an event; with a record it begins the next trial."""
        self._silent = 0.0
        self._pulse.reset()
        if record:
            self._spent = 0.0

    def _watch(self) -> None:
        looked = time.monotonic()
        while not self._over.wait(STEP_SECONDS):
            now = time.monotonic()
            passed, looked = min(now - looked, 2 * STEP_SECONDS), now
            self._spent += passed
            self._silent += passed
            if self._silent >= LOOK_SECONDS:
                self._silent = 0.0
                self._pulse.look()
            if self._limit is not None and self._spent > self._limit:
                self.reason = (
                    f"the trial was ended: it took longer than {self._limit:g} s (--trial-timeout)"
                )
            elif self._pulse.is_idle:
                minutes = self._pulse.idle_seconds / 60
                self.reason = (
                    f"the trial's process was ended: it was stopped, or waited for something "
                    f"that did not come, and used no processor time for {minutes:.0f} min"
                )
            if self.reason:
                self._kill()
                return
