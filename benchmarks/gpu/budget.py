"""A time budget for several parts: each gets a share, and none outlives the whole."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LENIENCE = 1.6  # times its fair share of what is left; what others leave over comes back
MIN_SECONDS = 20.0  # less than this is not worth starting with
ENDING_SECONDS = 5.0


@dataclass(frozen=True)
class Ran:
    """A finished process; `code` is None if it was killed as its time was up."""

    code: int | None
    seconds: float
    output: str


class Budget:
    """Seconds from now, shared by a known number of parts."""

    def __init__(self, seconds: float, parts: int) -> None:
        self._end = time.monotonic() + seconds
        self._parts = parts

    @property
    def left(self) -> float:
        return self._end - time.monotonic()

    def next_share(self) -> float | None:
        """Seconds that the next part may take; None where there is no time for it."""
        share = min(self.left, LENIENCE * self.left / max(self._parts, 1))
        self._parts -= 1
        return share if share >= MIN_SECONDS else None


def run(
    command: Sequence[str], seconds: float, environment: Mapping[str, str], folder: Path
) -> Ran:
    """Run a command and its children for at most the given time, and return its output as text."""
    begun = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(environment),
        cwd=folder,
        start_new_session=True,  # so that what it starts can be ended with it
    )
    try:
        output, _ = process.communicate(timeout=seconds)
        return Ran(process.returncode, time.monotonic() - begun, output)
    except subprocess.TimeoutExpired:
        output = _end(process)
        return Ran(None, time.monotonic() - begun, output)
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[str]) -> str:
    """Terminate the process, then kill it; on SIGTERM the harness ends its own workers."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
            return process.communicate(timeout=ENDING_SECONDS)[0] or ""
        except (subprocess.TimeoutExpired, ProcessLookupError):
            continue
    return ""
